package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
)

const patience = time.Minute

// TestSite looks at a device as a browser does.
func TestSite(t *testing.T) {
	leak.Check(t)
	devices, handler := site()
	defer devices.Close()
	srv := httptest.NewServer(handler)
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- device(ctx, srv.URL+"/connect", "kitchen") }()

	var page string
	for deadline := time.Now().Add(patience); !strings.Contains(page, "This is the kitchen"); page = get(t, srv.URL+"/kitchen") {
		if time.Now().After(deadline) {
			t.Fatalf("the page is %q", page)
		}
	}
	events, err := http.Get(srv.URL + "/kitchen/clock")
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	line, err := bufio.NewReader(events.Body).ReadString('\n') // while it goes on
	if !regexp.MustCompile(`^data: \d\d:\d\d:\d\d\n$`).MatchString(line) || err != nil {
		t.Errorf("the clock says %q, %v", line, err)
	}
	if got := get(t, srv.URL+"/garage/"); !strings.HasPrefix(got, "503 ") {
		t.Errorf("a device that is not there answers %q", got)
	}
	cancel()
	<-done
	http.DefaultClient.CloseIdleConnections()
}

func get(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestServe runs a separate server and device, until they are stopped.
func TestServe(t *testing.T) {
	leak.Check(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, "127.0.0.1:0") }()
	cancel()
	if err := <-done; err != http.ErrServerClosed {
		t.Error(err)
	}
}

// TestCommand runs the documented command.
func TestCommand(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "run", ".", "-h")
	if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), "-connect URL") {
		t.Errorf("%s", out)
	}
}
