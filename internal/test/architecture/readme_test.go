package architecture

import (
	"fmt"
	"net"
	"os"
	"path"
	"reflect"
	"strings"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
)

// TestMethods counts the methods of which the README tells the number.
func TestMethods(t *testing.T) {
	readme, err := os.ReadFile(path.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	conn := methods[net.Conn]()
	for _, want := range []string{
		fmt.Sprintf("a carrier has %d methods, and its connections are a `net.Conn` with %d more",
			methods[carrier.Carrier](), methods[carrier.Conn]()-conn),
		fmt.Sprintf("A multiplexer has %d methods, its sessions %d, and its streams are a `net.Conn` with %d more",
			methods[mux.Muxer](), methods[mux.Session](), methods[mux.Stream]()-conn),
	} {
		if !strings.Contains(strings.Join(strings.Fields(string(readme)), " "), want) {
			t.Errorf("README.md does not say %q", want)
		}
	}
}

// methods returns how many methods an interface has.
func methods[I any]() int { return reflect.TypeFor[I]().NumMethod() }
