package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"runtime"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// commands are all that the backend may run, as functions of this program. A shell on the
// network would offer every command to anybody who gets the backend's key. To start a
// program, add it here, and check its arguments; never pass a line to sh -c.
var commands = map[string]func(w io.Writer, args []string){
	"echo":    func(w io.Writer, args []string) { fmt.Fprintln(w, strings.Join(args, " ")) },
	"version": func(w io.Writer, _ []string) { fmt.Fprintln(w, runtime.Version()) },
}

// handshakeTimeout bounds the handshake.
const handshakeTimeout = 10 * time.Second

// serve is an SSH server for the backend with that key, until lis is closed.
func serve(lis net.Listener, hostKey ssh.Signer, backend ssh.PublicKey) error {
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if !bytes.Equal(key.Marshal(), backend.Marshal()) {
				return nil, errors.New("not the backend's key")
			}
			return nil, nil
		},
	}
	config.AddHostKey(hostKey)
	for {
		conn, err := lis.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			if err := serveConn(conn, config); err != nil {
				log.Print("An SSH client was refused: ", err)
			}
		}()
	}
}

// serveConn runs commands from conn, until its client leaves.
func serveConn(conn net.Conn, config *ssh.ServerConfig) error {
	conn.SetDeadline(time.Now().Add(handshakeTimeout))
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return err
	}
	conn.SetDeadline(time.Time{})
	go ssh.DiscardRequests(requests) // for instance to listen here, and forward
	for offered := range channels {
		if offered.ChannelType() != "session" { // for instance to dial from here
			offered.Reject(ssh.Prohibited, "there is nothing here but commands")
			continue
		}
		channel, requests, err := offered.Accept()
		if err != nil {
			return nil // the client is gone
		}
		go serveSession(channel, requests)
	}
	return nil
}

// serveSession runs one command. It grants nothing else: no shell, no terminal, no
// environment, no subsystem.
func serveSession(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for r := range requests {
		var exec struct{ Command string }
		if r.Type != "exec" || ssh.Unmarshal(r.Payload, &exec) != nil {
			r.Reply(false, nil)
			continue
		}
		r.Reply(true, nil)
		go ssh.DiscardRequests(requests)
		status := runCommand(channel, exec.Command)
		channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
		return
	}
}

// runCommand returns the exit status of line.
func runCommand(channel ssh.Channel, line string) uint32 {
	words := strings.Fields(line)
	if len(words) == 0 {
		return 0
	}
	command, ok := commands[words[0]]
	if !ok {
		fmt.Fprintf(channel.Stderr(), "%q is not a command of this device\n", words[0])
		return 127 // as in shells
	}
	command(channel, words[1:])
	return 0
}
