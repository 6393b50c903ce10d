// Ssh is an SSH server on a device without an address, and a backend that runs a command
// there.
//
// SSH is secure from end to end: the backend knows the device by its host key, and the
// device knows the backend by its key. So an attacker who controls the server between
// them, or has the certificate of its carrier, can neither run anything nor listen.
package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"

	"golang.org/x/crypto/ssh"

	"github.com/backdial/backdial/transport"
)

func main() {
	log.SetFlags(0)
	if err := run(os.Stdout); err != nil {
		log.Fatal("ssh: ", err)
	}
}

// run runs a backend and a device, until the device has run the commands.
func run(w io.Writer) error {
	// Each side has a key, and knows the other's public key. In production they are in
	// files, put there when the device is made.
	hostKey, err := newKey()
	if err != nil {
		return err
	}
	backendKey, err := newKey()
	if err != nil {
		return err
	}

	dialers := make(chan *transport.Dialer, 1)
	server := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { dialers <- d }))
	defer server.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go server.Serve(ln) // ends with Close

	// The device. On another machine its URL is wss://, and the server has a certificate.
	lis, err := transport.DialAndListen("ws://"+ln.Addr().String(), nil)
	if err != nil {
		return err
	}
	defer lis.Close()
	go serve(lis, hostKey, backendKey.PublicKey()) // ends with Close

	// The backend.
	client, err := dial(<-dialers, backendKey, hostKey.PublicKey())
	if err != nil {
		return err
	}
	defer client.Close()
	for _, command := range []string{"version", "echo well done", "sh -c reboot"} {
		output, err := execute(client, command)
		if _, failed := errors.AsType[*ssh.ExitError](err); err != nil && !failed {
			return fmt.Errorf("%s: %w", command, err) // it has not run
		}
		fmt.Fprintf(w, "$ %s\n%s", command, output)
	}
	return nil
}

func newKey() (ssh.Signer, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(key)
}
