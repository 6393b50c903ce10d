package main

import (
	"flag"
	"time"
)

// A config holds the values of the flags.
type config struct {
	name, listen          string
	peers, url            string
	ca, cert, key         string
	routes, join          string
	nats, creds, natsCA   string
	notice, spread, drain time.Duration
}

func parseFlags() (c config) {
	flag.StringVar(&c.name, "name", "", "`name` of this replica, as in its certificate")
	flag.StringVar(&c.listen, "listen", ":8080", "`address` for devices and users, behind a load balancer")

	flag.StringVar(&c.peers, "peers", ":7443", "`address` for other replicas")
	flag.StringVar(&c.url, "url", "", "`URL` at which they reach it, such as https://10.0.0.1:7443")
	flag.StringVar(&c.ca, "ca", "ca.pem", "`file` with the authority that certifies replicas")
	flag.StringVar(&c.cert, "cert", "", "`file` with the certificate of this replica")
	flag.StringVar(&c.key, "key", "", "`file` with its key")

	flag.StringVar(&c.routes, "routes", ":6222", "`address` for the embedded NATS servers of other replicas")
	flag.StringVar(&c.join, "join", "", "`addresses` of these, host:port,…; its own may be among them")
	flag.StringVar(&c.nats, "nats", "", "`URLs` of NATS servers, in place of embedded ones: tls://host:port,…")
	flag.StringVar(&c.creds, "creds", "", "`file` with credentials for them, in place of the certificate")
	flag.StringVar(&c.natsCA, "nats-ca", "", "`file` with the authority that certifies them, if that is not -ca")

	flag.DurationVar(&c.notice, "notice", 2*time.Second, "`time` that a load balancer takes to notice a change of /healthz")
	flag.DurationVar(&c.spread, "spread", 5*time.Second, "`time` over which devices are moved when this replica stops")
	flag.DurationVar(&c.drain, "drain", 25*time.Second, "`time` after which it stops waiting for requests under way")
	flag.Parse()
	return c
}
