package main

import (
	"errors"
	"net/http/httptest"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/transport"
)

var want = `$ version
` + runtime.Version() + `
$ echo well done
well done
$ sh -c reboot
"sh" is not a command of this device
`

func TestRun(t *testing.T) {
	backdialtest.CheckLeaks(t)
	var out strings.Builder
	if err := run(&out); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("printed %q", &out)
	}
}

func TestCommand(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "run", ".")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
		t.Errorf("%v: printed %q, %v", cmd, out, err)
	}
}

func TestExitStatus(t *testing.T) {
	backdialtest.CheckLeaks(t)
	client := connect(t)
	for command, want := range map[string]int{"echo": 0, "": 0, "sh": 127, "echo; sh": 127, "/bin/sh": 127} {
		_, err := execute(client, command)
		got := 0
		if exit, ok := errors.AsType[*ssh.ExitError](err); ok {
			got = exit.ExitStatus()
		} else if err != nil {
			t.Errorf("%q: %v", command, err)
		}
		if got != want {
			t.Errorf("%q exits with %d, want %d", command, got, want)
		}
	}
}

// TestCommandsOnly asks for what a device never grants.
func TestCommandsOnly(t *testing.T) {
	backdialtest.CheckLeaks(t)
	client := connect(t)
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if session.RequestPty("xterm", 24, 80, nil) == nil {
		t.Error("there is a terminal")
	}
	if session.Setenv("PATH", "/tmp") == nil {
		t.Error("there is an environment")
	}
	if session.RequestSubsystem("sftp") == nil {
		t.Error("there is a subsystem")
	}
	if session.Shell() == nil {
		t.Error("there is a shell")
	}
	session.Close()
	if conn, err := client.Dial("tcp", "127.0.0.1:22"); err == nil {
		conn.Close()
		t.Error("there is a way into the network")
	}
	if ln, err := client.Listen("tcp", "127.0.0.1:0"); err == nil {
		ln.Close()
		t.Error("there is a way out of it")
	}
	if out, err := execute(client, "echo still there"); err != nil || string(out) != "still there\n" {
		t.Errorf("after all that: %q, %v", out, err)
	}
}

func TestStrangers(t *testing.T) {
	backdialtest.CheckLeaks(t)
	d, backendKey, hostKey := device(t)
	stranger := key(t)
	if client, err := dial(d, stranger, hostKey.PublicKey()); err == nil {
		client.Close()
		t.Error("the device took a stranger for its backend")
	}
	if client, err := dial(d, backendKey, stranger.PublicKey()); err == nil {
		client.Close()
		t.Error("the backend took a stranger for its device")
	}
	client, err := dial(d, backendKey, hostKey.PublicKey())
	if err != nil {
		t.Fatal("after them: ", err)
	}
	client.Close()
}

// connect returns an SSH client of a device.
func connect(t *testing.T) *ssh.Client {
	t.Helper()
	d, backendKey, hostKey := device(t)
	client, err := dial(d, backendKey, hostKey.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// device returns the backend's end of a session with a device, and their keys.
func device(t *testing.T) (d *transport.Dialer, backendKey, hostKey ssh.Signer) {
	t.Helper()
	dialers := make(chan *transport.Dialer, 1)
	server := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { dialers <- d }))
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	t.Cleanup(func() { server.Close() })
	lis, err := transport.DialAndListen(web.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	backendKey, hostKey = key(t), key(t)
	go serve(lis, hostKey, backendKey.PublicKey())
	return <-dialers, backendKey, hostKey
}

func key(t *testing.T) ssh.Signer {
	t.Helper()
	k, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}
