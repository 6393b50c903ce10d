package transport_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/internal/test/suite"
	"github.com/backdial/backdial/internal/test/testcert"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// What a program writes to a connection has left when the program ends, although it
// waits for nothing.

const (
	exitQuestion = "what?"
	exitAnswer   = "that"
)

// exitMuxes are the multiplexers that are tested, by the name that a program gets.
var exitMuxes = map[string]mux.Muxer{
	"yamux":  yamuxmux.New(),
	"smux":   smuxmux.New(),
	"qmux":   qmux.New(),
	"native": nativemux.New(), // over WebTransport
}

// exitEnds are how a program ends its use of a connection, just before it ends itself.
var exitEnds = map[string]func(transport.Conn){
	"Close":      func(c transport.Conn) { c.Close() },
	"CloseWrite": func(c transport.Conn) { c.CloseWrite() },
	"Write":      func(transport.Conn) {},
}

// Environment of the programs.
const (
	exitProgramEnv = "BACKDIAL_EXIT_PROGRAM" // see TestMain
	exitURLEnv     = "BACKDIAL_EXIT_URL"     // that a client dials
	exitMuxEnv     = "BACKDIAL_EXIT_MUX"
	exitEndEnv     = "BACKDIAL_EXIT_END"
	exitTrustEnv   = "BACKDIAL_EXIT_TRUST" // file that a client trusts
	exitCertEnv    = "BACKDIAL_EXIT_CERT"  // files of a server that has TLS
	exitKeyEnv     = "BACKDIAL_EXIT_KEY"
)

// TestMain is also the main function of the programs, which return from it.
func TestMain(m *testing.M) {
	switch os.Getenv(exitProgramEnv) {
	case "client":
		exitingClient(ws.New())
	case "webtransport":
		exitingClient(webtransport.New()).Close()
	case "web":
		exitingWeb(ws.New())
	case "webtransport web":
		exitingWeb(webtransport.New())
	case "server":
		exitingServer()
	default:
		os.Exit(leak.Main(m))
	}
}

// exitListener connects a program that is a client.
func exitListener(c carrier.Carrier) net.Listener {
	var config tls.Config
	if file := os.Getenv(exitTrustEnv); file != "" {
		pem, err := os.ReadFile(file)
		mustExit(err)
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(pem)
	}
	lis, err := transport.DialAndListen(os.Getenv(exitURLEnv), nil, transport.WithCarriers(c),
		transport.WithMuxes(exitMuxes[os.Getenv(exitMuxEnv)]), transport.WithTLSConfig(&config))
	mustExit(err)
	return lis
}

// exitingClient answers one question over a carrier.
func exitingClient(c carrier.Carrier) (lis net.Listener) {
	lis = exitListener(c)
	conn, err := lis.Accept()
	mustExit(err)
	_, err = io.ReadFull(conn, make([]byte, len(exitQuestion)))
	mustExit(err)
	exitAfterAnswer(conn.(transport.Conn))
	return lis
}

// exitingServer tells one client something. It prints where it listens.
func exitingServer() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	mustExit(err)
	fmt.Println(ln.Addr())
	if file := os.Getenv(exitCertEnv); file != "" {
		cert, err := tls.LoadX509KeyPair(file, os.Getenv(exitKeyEnv))
		mustExit(err)
		ln = tls.NewListener(ws.BelowTLS(ln), &tls.Config{Certificates: []tls.Certificate{cert}})
	}
	dialers := make(chan *transport.Dialer)
	server := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { dialers <- d }),
		transport.WithMuxes(exitMuxes[os.Getenv(exitMuxEnv)]))
	go server.Serve(ln)
	conn, err := (<-dialers).Dial()
	mustExit(err)
	if os.Getenv(exitEndEnv) == "Write" { // which need not wait for a client that is not known yet
		_, err = io.ReadFull(conn, make([]byte, len(exitQuestion)))
		mustExit(err)
	}
	exitAfterAnswer(conn.(transport.Conn))
}

func exitAfterAnswer(conn transport.Conn) {
	_, err := io.WriteString(conn, exitAnswer)
	mustExit(err)
	exitEnds[os.Getenv(exitEndEnv)](conn)
}

func mustExit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// startProgram starts this binary as one of the programs, and returns what it prints. It
// has to end well.
func startProgram(t *testing.T, name, mux, end string, env ...string) io.Reader {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), append(env, suite.RaceEnv(), exitProgramEnv+"="+name, exitMuxEnv+"="+mux, exitEndEnv+"="+end)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		late := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
		defer late.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the %s: %v", name, err)
		}
	})
	return out
}

// heardOf is what arrived of the program's answer. If the program only wrote it, the
// connection has no end.
func heardOf(conn net.Conn, end string) (string, error) {
	conn.SetDeadline(time.Now().Add(time.Minute))
	if end != "Write" {
		b, err := io.ReadAll(conn)
		return string(b), err
	}
	b := make([]byte, len(exitAnswer))
	n, err := io.ReadFull(conn, b)
	return string(b[:n]), err
}

var exits = flag.Int("exits", 100, "how many programs end in each way that is tested")

// exitRuns is how many programs end in each way.
func exitRuns() int {
	switch {
	case raceDetector && !long.Asked(): // with which a program takes a second to start
		return min(*exits, 1)
	case raceDetector || !long.Asked():
		return min(*exits, 3)
	}
	return *exits
}

// eachExit runs test, as often as -exits says or less, for each way in which a program can
// end.
func eachExit(t *testing.T, test func(t *testing.T, end string)) {
	for end := range exitEnds {
		t.Run(end, func(t *testing.T) {
			runs := exitRuns()
			lost := 0
			for i := range runs {
				if !t.Run(fmt.Sprint(i), func(t *testing.T) { test(t, end) }) {
					lost++
				}
			}
			if lost > 0 {
				t.Errorf("%d of %d answers were lost", lost, runs)
			}
		})
	}
}

// exitStacks runs test over each stack that a program can have. trust is for clients.
func exitStacks(t *testing.T, test func(t *testing.T, mux string, ca *testcert.CA)) {
	leak.Check(t)
	ca := testcert.NewCA(t)
	for _, mux := range []string{"yamux", "smux", "qmux"} {
		for name, ca := range map[string]*testcert.CA{"ws-" + mux: nil, "wss-" + mux: ca} {
			t.Run(name, func(t *testing.T) {
				t.Parallel() // they wait for programs
				test(t, mux, ca)
			})
		}
	}
}

func TestClientExits(t *testing.T) {
	exitWebSocket(t, func(t *testing.T, mux string, dialers <-chan *transport.Dialer, env ...string) {
		eachExit(t, func(t *testing.T, end string) {
			startProgram(t, "client", mux, end, env...)
			answersBeforeExit(t, await.From(t, "client", dialers).Dial, end)
		})
	})
}

// exitWebSocket runs test over each stack on WebSocket, with a server of clients that get
// env.
func exitWebSocket(t *testing.T, test func(t *testing.T, mux string, dialers <-chan *transport.Dialer, env ...string)) {
	exitStacks(t, func(t *testing.T, mux string, ca *testcert.CA) {
		dialers := make(chan *transport.Dialer, 1)
		srv := httptest.NewUnstartedServer(serverFunc(t, func(d *transport.Dialer) { dialers <- d }, transport.WithMuxes(exitMuxes[mux])))
		defer srv.Close()
		trust := exitTrustEnv + "="
		if ca == nil {
			srv.Start()
		} else {
			srv.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "127.0.0.1")}}
			srv.StartTLS()
			trust += ca.File(t)
		}
		test(t, mux, dialers, trust, exitURLEnv+"="+srv.URL)
	})
}

// In TestClientOfWslisExits the server is one of wslis.
func TestClientOfWslisExits(t *testing.T) {
	leak.Check(t)
	sessions := make(chan *yamux.Session, 1)
	srv := httptest.NewServer(wslisServer(func(s *yamux.Session, _ http.Header) { sessions <- s }))
	defer srv.Close()
	eachExit(t, func(t *testing.T, end string) {
		startProgram(t, "client", "yamux", end, exitURLEnv+"="+srv.URL)
		s := await.From(t, "client", sessions)
		defer s.Close()
		answersBeforeExit(t, s.Open, end)
	})
}

// In TestWebTransportClientExits the clients' carrier keeps in memory what the server has not
// acknowledged. They close the listener, which waits for that.
func TestWebTransportClientExits(t *testing.T) {
	exitWebTransport(t, func(t *testing.T, mux string, dialers <-chan *transport.Dialer, env ...string) {
		eachExit(t, func(t *testing.T, end string) {
			startProgram(t, "webtransport", mux, end, env...)
			answersBeforeExit(t, await.From(t, "client", dialers).Dial, end)
		})
	})
}

// exitWebTransport runs test over each stack on WebTransport, with a server of clients that
// get env.
func exitWebTransport(t *testing.T, test func(t *testing.T, mux string, dialers <-chan *transport.Dialer, env ...string)) {
	leak.Check(t)
	ca := testcert.NewCA(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "127.0.0.1")}}
	trust := exitTrustEnv + "=" + ca.File(t)
	for _, mux := range []string{"native", "qmux", "yamux"} {
		t.Run(mux, func(t *testing.T) {
			t.Parallel() // they wait for programs
			dialers := make(chan *transport.Dialer, 1)
			c := webtransport.New()
			server := serverFunc(t, func(d *transport.Dialer) { dialers <- d },
				transport.WithCarriers(c), transport.WithMuxes(exitMuxes[mux]))
			e, err := c.Listen("127.0.0.1:0", config, server)
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- e.Serve() }()
			defer func() {
				server.Close()
				e.Close()
				await.From(t, "end of Serve", served)
			}()
			test(t, mux, dialers, trust, exitURLEnv+"=https://"+e.Addr().String())
		})
	}
}

// answersBeforeExit asks a client that ends when it has answered.
func answersBeforeExit(t *testing.T, dial func() (net.Conn, error), end string) {
	t.Helper()
	conn, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The Write of wslis fails if the session ends before it returns, although the client
	// has got the question, has answered it, and is gone.
	_, asked := io.WriteString(conn, exitQuestion)
	if c, ok := conn.(transport.Conn); ok { // whose end may arrive after the answer has left
		c.CloseWrite()
	}
	if got, err := heardOf(conn, end); got != exitAnswer || err != nil {
		t.Errorf("the answer is %q, %v; the question: %v", got, err, asked)
	}
}

func TestServerExits(t *testing.T) {
	exitStacks(t, func(t *testing.T, mux string, ca *testcert.CA) {
		var env []string
		var config tls.Config
		scheme := "ws://"
		if ca != nil {
			cert, key := testcert.Files(t, ca.Issue(t, "127.0.0.1"))
			env = []string{exitCertEnv + "=" + cert, exitKeyEnv + "=" + key}
			config.RootCAs = ca.Pool()
			scheme = "wss://"
		}
		eachExit(t, func(t *testing.T, end string) {
			addr, err := bufio.NewReader(startProgram(t, "server", mux, end, env...)).ReadString('\n')
			if err != nil {
				t.Fatal("no server:", err)
			}
			lis, err := transport.DialAndListen(scheme+strings.TrimSpace(addr), nil,
				transport.WithMuxes(exitMuxes[mux]), transport.WithTLSConfig(&config))
			if err != nil {
				t.Fatal(err)
			}
			defer lis.Close()
			conn, err := lis.Accept()
			if err != nil {
				t.Fatal("accept:", err)
			}
			defer conn.Close()
			if end == "Write" {
				if _, err := io.WriteString(conn, exitQuestion); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := heardOf(conn, end); got != exitAnswer || err != nil {
				t.Errorf("the answer is %q, %v", got, err)
			}
		})
	})
}
