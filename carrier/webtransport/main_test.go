package webtransport_test

import (
	"os"
	"testing"

	"github.com/backdial/backdial/internal/test/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }
