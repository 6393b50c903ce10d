package qmux_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
)

// A stream is given up with a code that says why, and the peer gets the code.
func Example_resetWithCode() {
	const tooMany = 429

	server, client := net.Pipe()
	dial, err := qmux.New().DialSide(server, mux.Config{})
	if err != nil {
		panic(err)
	}
	defer dial.Close()
	listen, err := qmux.New().ListenSide(client, mux.Config{})
	if err != nil {
		panic(err)
	}
	defer listen.Close()

	go func() {
		st, err := listen.Accept(context.Background())
		if err != nil {
			return
		}
		st.(mux.CodeResetter).ResetWithCode(tooMany)
	}()

	st, err := dial.Open(context.Background())
	if err != nil {
		panic(err)
	}
	defer st.Close()
	_, err = io.ReadAll(st)
	if reset, ok := errors.AsType[*mux.ResetError](err); ok && reset.Code == tooMany {
		fmt.Println("the peer has too much to do")
	}
	// Output: the peer has too much to do
}
