//go:build unix

package proxytest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/testnet"
)

const (
	// patience bounds every wait, on a loaded machine under the race detector.
	patience = time.Minute

	// tick is the interval between two looks at a condition.
	tick = 10 * time.Millisecond
)

// A proxy is a process, and others that it has started.
type proxy struct {
	kind
	t      *testing.T
	path   string // of the program
	dir    string // where it runs
	plain  string // its address
	secure string // its address for TLS
	trust  *tls.Config
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has
	output output
}

// startProxy starts a proxy before a server's address, or several. It is killed when t is
// done.
func startProxy(t *testing.T, k kind, servers edit, edits ...edit) *proxy {
	t.Helper()
	p := &proxy{kind: k, t: t, path: k.find(t), dir: t.TempDir()}
	p.certify()
	if err := os.Mkdir(filepath.Join(p.dir, "temp"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s says:\n%s", p.path, p.output.String())
		}
	})
	for range 5 {
		p.plain, p.secure = testnet.FreeAddr(t), testnet.FreeAddr(t)
		p.configure(servers, edits...)
		if p.start() {
			return p
		}
		// Somebody else may have got the port meanwhile.
	}
	t.Fatalf("%s does not start", k.name)
	return nil
}

// configure writes the configuration, for the next start or reload.
func (p *proxy) configure(servers edit, edits ...edit) {
	p.t.Helper()
	all := append([]edit{{"127.0.0.1:8000", p.plain}, {"127.0.0.1:8443", p.secure}, servers}, edits...)
	p.write(p.config, p.configuration(p.t, all...))
}

// start starts the proxy, and reports whether it then listens.
func (p *proxy) start() bool {
	p.t.Helper()
	p.cmd = p.prepare(p.kind.start...)
	// Its processes are one group, to be killed together.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.WaitDelay = patience
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	cmd, exited := p.cmd, make(chan struct{})
	p.exited = exited
	go func() { // ends with the processes
		cmd.Wait()
		close(exited)
	}()
	for _, addr := range []string{p.plain, p.secure} {
		await.Until(p.t, p.name+" to listen, or to exit", func() bool { return listens(addr) || p.hasExited() })
	}
	return !p.hasExited()
}

func (p *proxy) hasExited() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// kill kills all processes, and returns when none of them holds a port.
func (p *proxy) kill() {
	if p.cmd == nil {
		return
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.exited
	p.cmd = nil
}

// command runs the program once more, so that it tells the first process what to do.
func (p *proxy) command(args ...string) error {
	if out, err := p.prepare(args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %q: %w\n%s", p.name, args, err, out)
	}
	return nil
}

func (p *proxy) prepare(args ...string) *exec.Cmd {
	cmd := exec.Command(p.path, append(p.args[:len(p.args):len(p.args)], args...)...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "HOME="+p.dir, "XDG_CONFIG_HOME="+p.dir, "XDG_DATA_HOME="+p.dir)
	return cmd
}

// certify writes the certificate, in the form that each program needs.
func (p *proxy) certify() {
	p.t.Helper()
	certificate, err := webtransport.SelfSigned("127.0.0.1")
	if err != nil {
		p.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		p.t.Fatal(err)
	}
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}))
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	p.write("cert.pem", cert)
	p.write("key.pem", key)
	p.write("both.pem", cert+key)
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	p.trust = &tls.Config{RootCAs: roots}
}

func (p *proxy) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func listens(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// An output is what processes print.
type output struct {
	mu  sync.Mutex // guards below
	all bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(o.all.String())
}
