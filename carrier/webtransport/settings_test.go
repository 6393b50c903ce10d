package webtransport_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/internal/leak"
)

// headersFrame is the type of an HTTP/3 frame (RFC 9114, section 7.2.2).
const headersFrame = 1

// TestSettingsTooLate has a client whose settings got lost on the way, while its
// request arrived: that is no reason not to come again.
func TestSettingsTooLate(t *testing.T) {
	leak.Check(t)
	failed := make(chan error, 1)
	c := webtransport.New()
	s := listen(t, c, func(w http.ResponseWriter, r *http.Request) {
		_, err := c.Upgrade(w, r, "")
		failed <- err
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	config := s.tls.Clone()
	config.NextProtos = []string{"h3"}
	host := strings.TrimSuffix(strings.TrimPrefix(s.url, "https://"), "/")
	conn, err := quic.DialAddr(ctx, host, config, &quic.Config{EnableDatagrams: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseWithError(0, "")
	request, err := conn.OpenStreamSync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var block bytes.Buffer
	e := qpack.NewEncoder(&block)
	for _, f := range []qpack.HeaderField{
		{Name: ":method", Value: http.MethodConnect},
		{Name: ":scheme", Value: "https"},
		{Name: ":authority", Value: host},
		{Name: ":path", Value: "/"},
		{Name: ":protocol", Value: "webtransport-h3"},
	} {
		e.WriteField(f)
	}
	frame := quicvarint.Append(quicvarint.Append(nil, headersFrame), uint64(block.Len()))
	request.Write(append(frame, block.Bytes()...))
	if got := statusOf(t, request); got != "503" {
		t.Errorf("status %s, want 503", got)
	}
	if err := receive(t, "Upgrade", failed); err == nil || !strings.Contains(err.Error(), "SETTINGS") {
		t.Errorf("error %v, want one that speaks of SETTINGS", err)
	}
}

// statusOf reads the answer to a request.
func statusOf(t *testing.T, r io.Reader) string {
	t.Helper()
	in := quicvarint.NewReader(r)
	kind, err := quicvarint.Read(in)
	length, lengthErr := quicvarint.Read(in)
	if err := errors.Join(err, lengthErr); err != nil || kind != headersFrame {
		t.Fatalf("frame %d, %v", kind, err)
	}
	block := make([]byte, length)
	if _, err := io.ReadFull(in, block); err != nil {
		t.Fatal(err)
	}
	for next := qpack.NewDecoder().Decode(block); ; {
		f, err := next()
		if err != nil {
			t.Fatal("no status: ", err)
		}
		if f.Name == ":status" {
			return f.Value
		}
	}
}
