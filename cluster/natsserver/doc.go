// Package natsserver runs a NATS server in the program, as the engine of its registry, so that
// replicas need no other process:
//
//	server, err := natsserver.Start(natsserver.Config{
//		Name:        "replica2",
//		ClusterAddr: ":6222",
//		Join:        []string{"replica1.example:6222", "replica2.example:6222", "replica3.example:6222"},
//		TLS:         config,
//	})
//	…
//	registry, err := natsregistry.Connect("", natsregistry.Config{
//		Options: []nats.Option{nats.InProcessServer(server)},
//	})
//
// It is for up to about five replicas, each of which is connected to each other. For more, run
// a NATS cluster of three servers apart, which is the same to package natsregistry.
//
// # How servers find each other
//
// A server dials those in Join until they answer, and again when it has lost them. Servers
// that it is connected to tell it of others, so Join need not name all. But a server tries
// only those in Join for ever: name all, or two or three that are always there. All servers
// may have the same Join, as a server's own address does no harm. The firewall must let
// replicas reach each other at the port of ClusterAddr.
//
// # Certificates of routes
//
// Routes, as connections between servers are called, use mutual TLS 1.3. A server that dials
// another expects a certificate for
//
//   - the ServerName of its [Config.TLS], if it has one: then all certificates are for that
//     name too, on whatever hosts they run;
//   - or the host in Join, or in the Advertise of the other server, if it has heard of the
//     other by that;
//   - or, for an IP address that it has heard of because the other server has no Advertise:
//     the first host name in its own Join, or the IP address if there is none.
//
// So make each certificate for the name of its replica, which other packages check, and for
// the host of its route; and set Advertise, or a ServerName.
//
// Anyone with a server certificate that the ClientCAs of [Config.TLS] have signed can join the
// engine, and claim any client. Use an authority that signs such certificates for replicas
// alone, or check names in its VerifyConnection. A service that dials clients has a
// certificate for client authentication, which servers refuse.
package natsserver
