package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testnet"
)

const want = `Device 123 answers "Hello, device!\n"` + "\n"

// TestMain makes the program of the test, for tests that start it.
func TestMain(m *testing.M) {
	if os.Getenv("ECHO_TEST_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestRun(t *testing.T) {
	leak.Check(t)
	var out strings.Builder
	if err := run(&out); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("printed %q", &out)
	}
}

// TestHalves runs the server in one process and the device in another.
func TestHalves(t *testing.T) {
	addr := testnet.FreeAddr(t)
	start(t, "-connect", "ws://"+addr+"/") // it waits for the server
	out := start(t, "-serve", addr)
	if line, err := out.ReadString('\n'); line != want {
		t.Errorf("printed %q, %v", line, err)
	}
}

func TestCommand(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "run", "./examples/echo")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
		t.Errorf("%v: printed %q, %v", cmd, out, err)
	}
}

// start runs the program until the test ends, and returns its output.
func start(t *testing.T, args ...string) *bufio.Reader {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "ECHO_TEST_MAIN=1")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%v: %s", args, &complaints)
		}
	})
	return bufio.NewReader(out)
}
