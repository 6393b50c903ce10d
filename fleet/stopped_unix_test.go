//go:build unix

package fleet_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/rhttp"
	"github.com/backdial/backdial/transport"
)

// stoppedURLEnv makes the test binary run as a device, which connects to this URL.
const stoppedURLEnv = "BACKDIAL_STOPPED_URL"

func TestMain(m *testing.M) {
	url := os.Getenv(stoppedURLEnv)
	if url == "" {
		os.Exit(m.Run())
	}
	lis, err := transport.DialAndListen(url, http.Header{"Deviceid": {"1"}}, transport.WithReconnect(transport.Backoff{}))
	if err == nil {
		err = http.Serve(lis, says("one"))
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestStoppedDevice stops a process, as a debugger or a system without power does, and then
// lets it go on. Its kernel acknowledges all that it is sent meanwhile.
func TestStoppedDevice(t *testing.T) {
	long.Only(t)
	if testing.Short() {
		t.Skip("it waits for 20 s")
	}
	leak.Check(t)
	clients := fleet.New(fleet.ByHeader("DeviceId"), fleet.WithWaitForClient())
	server := transport.NewServer(clients)
	web := httptest.NewServer(server)
	defer web.Close()
	defer server.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	device := exec.Command(exe)
	device.Env, device.Stderr = append(os.Environ(), stoppedURLEnv+"="+web.URL), os.Stderr
	if err := device.Start(); err != nil {
		t.Fatal(err)
	}
	defer device.Wait()
	defer device.Process.Kill()
	rt := clients.Transport()
	defer rt.CloseIdleConnections()
	answers := func(when string) {
		t.Helper()
		if got, err := do(t, rt, "GET", "http://1/", nil); got != "one GET / " || err != nil {
			t.Errorf("%s the device answers %q, %v", when, got, err)
		}
	}
	answers("in the beginning")
	device.Process.Signal(syscall.SIGSTOP)
	var state syscall.WaitStatus
	if _, err := syscall.Wait4(device.Process.Pid, &state, syscall.WUNTRACED, nil); err != nil || !state.Stopped() {
		t.Fatalf("the device is not stopped: %v, %v", state, err)
	}
	began := time.Now()
	_, err = do(t, rt, "GET", "http://1/", nil)
	if took := time.Since(began); took > silentFor+2*time.Second || !errors.Is(err, rhttp.ErrSilent) {
		t.Errorf("a request ends after %v with %v, want rhttp.ErrSilent within %v", took, err, silentFor)
	}
	device.Process.Signal(syscall.SIGCONT)
	answers("when it goes on")
}
