package webtransport

import (
	"net"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/backdial/backdial/internal/test/suite"
)

// copyServer must not forget a field of a new version.
func TestCopyServer(t *testing.T) {
	var known []string
	for f := range reflect.TypeFor[http3.Server]().Fields() {
		if f.IsExported() {
			known = append(known, f.Name)
		}
	}
	const want = "Addr Port TLSConfig QUICConfig Handler EnableDatagrams MaxHeaderBytes AdditionalSettings IdleTimeout ConnContext Logger"
	if got := strings.Join(known, " "); got != want {
		t.Errorf("http3.Server has the fields %s, copyServer knows %s", got, want)
	}
}

// bufferEnv makes TestNoWarning set up a socket, in a process of its own: quic-go warns
// once per process. Its value says how.
const bufferEnv = "BACKDIAL_WEBTRANSPORT_SOCKET"

func TestNoWarning(t *testing.T) {
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	foreign := struct{ net.PacketConn }{socket} // has no buffers that could be set
	conns := map[string]net.PacketConn{
		"foreign": foreign, "foreign, quiet": quiet(foreign),
		"kernel's": socket, "kernel's, quiet": quiet(socket),
	}
	if conn := conns[os.Getenv(bufferEnv)]; conn != nil {
		transport := quic.Transport{Conn: conn}
		transport.WriteTo([]byte{0}, socket.LocalAddr())
		transport.Close()
		return
	}
	warns := func(how string) bool {
		_, out := suite.Rerun(t, bufferEnv+"="+how)
		if !strings.Contains(out, "--- PASS") {
			t.Fatalf("%s: %s", how, out)
		}
		return strings.Contains(out, "UDP-Buffer-Sizes")
	}
	for _, socket := range []string{"foreign", "kernel's"} {
		if warns(socket + ", quiet") {
			t.Errorf("quic-go logs about the buffers of a %s socket", socket)
		}
	}
	if !warns("foreign") {
		t.Error("quic-go does not log any more about a socket without buffers: is all this still needed?")
	}
	if !warns("kernel's") {
		t.Skip("the kernel allows the buffers that quic-go wants")
	}
}

// TestVersions guards a pair of versions that the go command separates as soon as
// something else requires a newer one.
func TestVersions(t *testing.T) {
	for module, want := range map[string]string{
		"github.com/quic-go/quic-go":         "v0.64.1",
		"github.com/quic-go/webtransport-go": "v0.13.0",
	} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", module).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(string(out)); got != want {
			t.Errorf("built with %s %s, want %s: webtransport-go v0.13.0 does not compile with quic-go v0.65; change both, and only if the tests of this package pass", module, got, want)
		}
	}
}
