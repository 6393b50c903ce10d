// Package natsserver runs a NATS server within the program, as the engine of its
// registry, so that replicas need nothing else beside them:
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
// It is for up to about five replicas, of which each is connected to each other. More are
// better off with a NATS cluster of three servers beside them, which is the same to package
// natsregistry.
//
// # Who finds whom
//
// A server dials those of Join until they answer, and again when it has lost them. Those
// that it is connected to tell it of others, so not all have to be named; but those that are
// named are tried for ever, so name all, or two or three that are always there. All may
// have the same Join, as its own address does no harm. The firewall has to let replicas
// reach each other at the port of ClusterAddr.
//
// # Certificates of routes
//
// Routes, as connections between servers are called, are of mutual TLS 1.3. A server that
// dials another expects a certificate for
//
//   - the ServerName of its [Config.TLS], if it has one: then all certificates are for that
//     name too, whatever hosts they run on;
//   - or the host in Join, or in the Advertise of the other one, if that is how it has
//     heard of it;
//   - or, for an IP address that it has heard of, since the other one has no Advertise: the
//     first host name in its own Join, or the IP address if there is none.
//
// So a certificate is for the name of its replica, which is what other packages look at, and
// for the host of its route; and have Advertise, or a ServerName.
//
// Whoever has a certificate for servers that the ClientCAs of [Config.TLS] have signed can
// be part of the engine, and claim any client. Have an authority that signs such ones for
// replicas alone, or look at names in its VerifyConnection. A service that dials clients
// has one for client authentication, which is refused.
package natsserver
