package transport_test

// The program below was written for wslis. Only its import line has changed.
import (
	"fmt"
	"io"
	"log"
	"net/http"
	"testing"

	"github.com/backdial/backdial/internal/test/testnet"
	wslis "github.com/backdial/backdial/transport"
)

func device(url string) {
	header := http.Header{}
	header.Set("DeviceId", "123")
	lis, err := wslis.DialAndListen(url, header)
	if err != nil {
		log.Fatal(err)
	}
	for {
		conn, err := lis.Accept()
		if err != nil {
			return
		}
		go func() {
			io.Copy(conn, conn)
			conn.Close()
		}()
	}
}

func backend(addr string, answers chan<- string) {
	handler := wslis.EndpointHandlerFunc(func(d *wslis.Dialer) {
		id := d.Header.Get("DeviceId")
		conn, err := d.Dial()
		if err != nil {
			log.Fatal(err)
		}
		defer conn.Close()
		conn.Write([]byte("hola"))
		buf := make([]byte, 4)
		if _, err := io.ReadFull(conn, buf); err != nil {
			log.Fatal(err)
		}
		answers <- fmt.Sprintf("%s says %s", id, buf)
	})
	log.Print(wslis.ListenAndServe(addr, handler))
}

func TestWslisProgram(t *testing.T) {
	addr := testnet.FreeAddr(t)
	answers := make(chan string)
	go backend(addr, answers)
	awaitListening(t, addr)
	go device("ws://" + addr)
	if got, want := <-answers, "123 says hola"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
