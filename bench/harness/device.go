package harness

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
)

// A Device is a program for a device, which connects to the address that it is given.
type Device struct {
	Name    string
	Package string // of the program
	Tags    string // for the build, if it needs any

	// Listen is as in Apart. The session needs Dial only.
	Listen func(t TB) (addr string, accept func() (*Server, error))
}

// Devices reports how large the programs of devices are, stripped, and how much memory
// they take once they are connected and have echoed a byte.
func Devices(b *testing.B, devices []Device) {
	for _, d := range devices {
		b.Run(d.Name, func(b *testing.B) {
			leak.Check(b)
			d.measure(b)
		})
	}
}

func (d Device) measure(b *testing.B) {
	exe := filepath.Join(b.TempDir(), "device")
	if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-tags="+d.Tags, "-o", exe, d.Package).CombinedOutput(); err != nil {
		b.Fatalf("build %s: %v\n%s", d.Package, err, out)
	}
	info, err := os.Stat(exe)
	if err != nil {
		b.Fatal(err)
	}
	addr, accept := d.Listen(near{b})
	resident := 0.0
	for b.Loop() {
		resident += d.run(b, exe, addr, accept)
	}
	if resident > 0 {
		b.ReportMetric(resident/float64(b.N), "rss-B")
	}
	b.ReportMetric(float64(info.Size()), "binary-B")
	b.ReportMetric(0, "ns/op") // of which there is nothing to say
}

// run returns how much memory a device takes, or 0 where the system does not tell.
func (d Device) run(b *testing.B, exe, addr string, accept func() (*Server, error)) float64 {
	roots := filepath.Join(b.TempDir(), "roots.pem")
	trusted := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Leaf.Raw})
	if err := os.WriteFile(roots, trusted, 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(exe, addr)
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+roots) // which Go heeds on Unix
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	type arrival struct {
		server *Server
		err    error
	}
	arrived := make(chan arrival, 1)
	go func() {
		server, err := accept()
		arrived <- arrival{server, err}
	}()
	var server *Server
	select {
	case a := <-arrived:
		if a.err != nil {
			b.Fatal(a.err)
		}
		server = a.server
	case <-time.After(patience):
		b.Fatalf("the device has not connected: %s", &said)
	}
	defer server.Close()
	c, err := server.Dial()
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if err := Ask(c, make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
	if !testing.Short() {
		time.Sleep(time.Second) // what it took to connect is given back
	}
	resident, err := residentSize(cmd.Process.Pid)
	if err != nil {
		b.Logf("the memory of the device is not known: %v", err)
	}
	return resident
}

// residentSize is the memory of a process that is not swapped out.
func residentSize(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(fields[1], 64)
			return kib * 1024, err
		}
	}
	return 0, fmt.Errorf("the status of process %d has no VmRSS", pid)
}
