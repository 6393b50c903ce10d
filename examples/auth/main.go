// Auth is a server that knows who its devices and users are. Copy from it.
//
//   - A device gets a signed token for its secret, one that lasts for a minute, each time
//     that it connects. Its ID is the one in the token. Its session is replaced after a
//     while, with a new token.
//   - A bad token is answered with 401. A device that is revoked loses its session, and is
//     sent away for good.
//   - The device knows its server by the certificate.
//   - A user has a token too, which says what devices are hers. No device sees it.
//
// Without arguments all of them are in one process, which shows what happens:
//
//	go run ./examples/auth
//
// On machines of their own, with a certificate for server.example:
//
//	go run ./examples/auth -serve :8443 -cert cert.pem -key key.pem
//	go run ./examples/auth -connect https://server.example:8443 -id kitchen -secret …
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/transport"
)

// What a peer may send before anything is known of it: net/http allows a megabyte and more, and
// all the time that there is.
const (
	headerTimeout  = 10 * time.Second
	maxHeaderBytes = 16 << 10
)

func main() {
	log.SetFlags(0)
	addr := flag.String("serve", "", "run only the server, at `address`")
	cert, key := flag.String("cert", "", "the server's certificate, a `file`"), flag.String("key", "", "its key, a `file`")
	age := flag.Duration("age", time.Hour, "how old a session gets before its device is authorized anew")
	url := flag.String("connect", "", "run only a device, which connects to the server at `URL`")
	id, secret := flag.String("id", "kitchen", "the device's `ID`"), flag.String("secret", "", "the device's `secret`")
	ca := flag.String("ca", "", "a `file` with the certificates that the device trusts, instead of those of the system")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch {
	case *url != "":
		err = connect(ctx, &device{url: *url, id: *id, secret: *secret}, *ca)
	case *addr != "":
		err = serve(ctx, *addr, *cert, *key, *age)
	default:
		err = show(ctx)
	}
	if err != nil && ctx.Err() == nil {
		log.Fatal("auth: ", err)
	}
}

// serve is a server of two devices, until ctx ends.
func serve(ctx context.Context, addr, cert, key string, age time.Duration) error {
	s := newSite(age)
	for _, id := range []string{"kitchen", "garage"} {
		fmt.Printf("-id %s -secret %s\n", id, s.enroll(id))
	}
	fmt.Printf("curl -H 'Authorization: Bearer %s' https://…/devices/kitchen/\n", s.login("anna", "kitchen"))
	config := &tls.Config{NextProtos: []string{"http/1.1"}} // which WebSockets need
	// No ReadTimeout, which would end what a user sends to a device.
	web := &http.Server{Addr: addr, Handler: s, TLSConfig: config, ReadHeaderTimeout: headerTimeout, MaxHeaderBytes: maxHeaderBytes}
	defer context.AfterFunc(ctx, func() { web.Close(); s.server.Close() })()
	return web.ListenAndServeTLS(cert, key)
}

// connect is a device, until ctx ends or the server sends it away for good.
func connect(ctx context.Context, d *device, ca string) error {
	if ca != "" {
		roots, err := os.ReadFile(ca)
		if err != nil {
			return err
		}
		d.trust = &tls.Config{RootCAs: x509.NewCertPool()}
		d.trust.RootCAs.AppendCertsFromPEM(roots)
	}
	lis, err := d.listen(ctx, transport.WithLogger(slog.Default()))
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { lis.Close() })()
	return d.serve(lis)
}

// show has a server, a device and users in one process, and tells what they meet with.
func show(ctx context.Context) error {
	certificate, err := webtransport.SelfSigned("127.0.0.1") // a real server has one of an authority
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := newSite(5 * time.Second)
	web := &http.Server{Handler: s, ReadHeaderTimeout: headerTimeout, MaxHeaderBytes: maxHeaderBytes}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}}
	go web.Serve(tls.NewListener(ln, config))
	defer web.Close()
	defer s.server.Close()

	url, trust := "https://"+ln.Addr().String(), &tls.Config{RootCAs: x509.NewCertPool()}
	trust.RootCAs.AddCert(certificate.Leaf)
	kitchen := &device{url: url, id: "kitchen", secret: s.enroll("kitchen"), trust: trust}
	lis, err := kitchen.listen(ctx)
	if err != nil {
		return err
	}
	defer lis.Close()
	go kitchen.serve(lis)

	users := &http.Client{Transport: &http.Transport{TLSClientConfig: trust}}
	defer users.CloseIdleConnections()
	anna := s.login("anna", "kitchen")
	get := func(who, path, token string) {
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, url+path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := users.Do(r)
		if err != nil {
			fmt.Println(who, "gets", err)
			return
		}
		defer answer.Body.Close()
		fmt.Println(who, "gets", answer.Status)
	}
	get("Anna asks for her kitchen, and", "/devices/kitchen/", anna)
	get("Anna asks for a garage that is not hers, and", "/devices/garage/", anna)
	get("Somebody without a token", "/devices/kitchen/", "")

	_, err = (&device{url: url, id: "kitchen", secret: "a guess", trust: trust}).token(ctx)
	fmt.Println("A device that guesses the secret:", err)
	_, err = transport.DialAndListenContext(ctx, url+"/connect", http.Header{"Authorization": {"Bearer " + anna}, "DeviceId": {"kitchen"}},
		transport.WithTLSConfig(trust))
	fmt.Println("Nobody is a device with Anna's token:", brief(err))

	first := lis.Info().Session
	for first == lis.Info().Session && ctx.Err() == nil {
		time.Sleep(100 * time.Millisecond)
	}
	get("The kitchen has a new session and a new token. Anna", "/devices/kitchen/", anna)

	s.revoke("kitchen")
	select {
	case <-lis.Done():
		fmt.Println("The kitchen is revoked:", brief(lis.Err()))
	case <-ctx.Done():
	}
	return nil
}

// brief is the end of an error, which tells what the server has answered.
func brief(err error) string {
	text := fmt.Sprint(err)
	return text[max(strings.LastIndex(text, "server answered"), 0):]
}
