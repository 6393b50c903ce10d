package xtacismux_test

import (
	"os"
	"testing"

	"github.com/backdial/backdial/internal/test/doctable"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/internal/test/suite"
	"github.com/backdial/backdial/mux/muxtest"
	"github.com/backdial/backdial/mux/xtacismux"
)

// deviations are the promises that the library breaks.
var deviations = []muxtest.Deviation{{
	Promise: muxtest.OpenIsImmediate,
	Because: "Open returns only when the connection has taken the frame that opens the stream. If it takes nothing, Open ends with its context.",
}, {
	Promise: muxtest.SteadyReaders,
	Part:    "abandoned",
	Because: "the library never resets a stream to free memory for others. It has memory for all of them.",
}, {
	Promise: muxtest.SteadyReaders,
	Part:    "memory",
	Because: "each stream may hold a Window. The library's limit for all streams is not used, because a session that reaches it stops. Slow readers hold 90 MiB, where 24 MiB are allowed.",
}, {
	Promise: muxtest.BoundedMemory,
	Because: "for the same reason. 16 streams that nobody reads hold 4.5 MiB, where ReceiveBuffer is 1 MiB.",
}, {
	Promise: muxtest.CloseWakes,
	Part:    "Session with a stuck carrier",
	Because: "Open waits for the connection, as above, until Close wakes it.",
}, {
	Promise: muxtest.ResetWithCode,
	Because: "the protocol has no codes.",
}, {
	Promise: muxtest.WriteTo,
	Because: "streams do not implement [mux.WriterTo], so io.Copy allocates a buffer.",
}, {
	Promise: muxtest.Check,
	Because: "streams do not implement [mux.Checker]. Only Read reports that a stream was reset.",
}, {
	Promise: muxtest.Distance,
	Part:    "MaxWindow",
	Because: "windows do not grow. A stream carries one [mux.Config.Window] per round trip: 12 MB/s at 20 ms by default.",
}}

func TestMain(m *testing.M) { os.Exit(suite.Main(m, 6)) }

func TestContract(t *testing.T) {
	long.Only(t)
	undetected(t)
	suite.Apart(t, func(t *testing.T) { muxtest.Test(t, xtacismux.New(), deviations...) })
}

// TestDocumented compares the documentation with the deviations.
func TestDocumented(t *testing.T) {
	var items [][2]string
	for _, d := range deviations {
		name := string(d.Promise)
		if d.Part != "" {
			name += "/" + d.Part
		}
		items = append(items, [2]string{name, d.Because})
	}
	doctable.Check(t, "doc.go", "breaks these promises of package mux:", items)
	doctable.Check(t, "../../docs/carriers.md", "| `xtacismux` does not promise | since |", items)
}
