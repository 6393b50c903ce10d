package webtransport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
)

// headersFrame is the type of an HTTP/3 frame (RFC 9114, section 7.2.2).
const headersFrame = 1

// TestSettingsTooLate uses a client whose settings were lost on the way, while its
// request arrived: it must be told that it may try again.
func TestSettingsTooLate(t *testing.T) {
	leak.Parallel(t)
	failed := make(chan error, 1)
	c := webtransport.New()
	s := listen(t, c, func(w http.ResponseWriter, r *http.Request) {
		_, err := c.Upgrade(w, r, "")
		failed <- err
	})
	request := ask(t, s.dialQUIC(t), "webtransport-h3")
	if got := statusOf(request); got != "503" {
		t.Errorf("status %s, want 503", got)
	}
	if err := await.From(t, "Upgrade", failed); err == nil || !strings.Contains(err.Error(), "SETTINGS") {
		t.Errorf("error %v, want one that speaks of SETTINGS", err)
	}
}

// dialQUIC connects to s without HTTP/3, until t ends.
func (s *server) dialQUIC(t *testing.T) *quic.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	config := s.tls.Clone()
	config.NextProtos = []string{http3.NextProtoH3}
	conn, err := quic.DialAddr(ctx, s.Addr().String(), config, &quic.Config{EnableDatagrams: true, KeepAlivePeriod: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseWithError(0, "") })
	return conn
}

// ask sends a CONNECT request for a protocol, with more fields.
func ask(t *testing.T, conn *quic.Conn, protocol string, fields ...qpack.HeaderField) *quic.Stream {
	t.Helper()
	request, err := conn.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	var block bytes.Buffer
	e := qpack.NewEncoder(&block)
	for _, f := range append([]qpack.HeaderField{
		{Name: ":method", Value: http.MethodConnect},
		{Name: ":scheme", Value: "https"},
		{Name: ":authority", Value: conn.RemoteAddr().String()},
		{Name: ":path", Value: "/"},
		{Name: ":protocol", Value: protocol},
	}, fields...) {
		e.WriteField(f)
	}
	frame := quicvarint.Append(quicvarint.Append(nil, headersFrame), uint64(block.Len()))
	request.Write(append(frame, block.Bytes()...))
	return request
}

// statusOf reads the answer to a request, or returns what is wrong with it.
func statusOf(r io.Reader) string {
	in := quicvarint.NewReader(r)
	kind, err := quicvarint.Read(in)
	length, lengthErr := quicvarint.Read(in)
	if err := errors.Join(err, lengthErr); err != nil || kind != headersFrame {
		return fmt.Sprintf("frame %d, %v", kind, err)
	}
	block := make([]byte, length)
	if _, err := io.ReadFull(in, block); err != nil {
		return err.Error()
	}
	for next := qpack.NewDecoder().Decode(block); ; {
		f, err := next()
		if err != nil {
			return "none: " + err.Error()
		}
		if f.Name == ":status" {
			return f.Value
		}
	}
}
