// Package cluster lets any replica of a server dial any client.
//
// Clients are spread over replicas by a load balancer: each is connected to one of them,
// or to several (transport.WithSessions). A [Cluster] stands on the fleet of clients that
// its process has, is dialled in the same way, and reaches the clients of the others too:
//
//	clients := fleet.New(fleet.ByHeader("DeviceId"))
//	server := transport.NewServer(clients, transport.WithAuthorize(clients.Authorize))
//	…
//	replica, err := cluster.New(clients,
//		cluster.WithRegistry(registry), // of package cluster/natsregistry, for instance
//		cluster.WithTLSConfig(config),  // the replicas' certificates
//		cluster.WithNode("replica-1", "https://10.0.0.1:7443"))
//	go replica.ListenAndServe(":7443")
//	…
//	conn, err := replica.Dial(ctx, "123")
//
// [Cluster.DialContext] fits where a network address is dialled, [Cluster.Transport] sends
// HTTP requests by ID, and with it a [fleet.ReverseProxy] of any replica serves the pages
// of all clients.
//
// Without a registry it is the fleet of one machine, and nothing else changes for who
// dials when there are more. A service that has no clients dials as well: New(nil, …).
//
// # How a client is found
//
//	    service, or replica A                                 replica B
//	┌──────────────────────────┐                        ┌──────────────────────┐
//	│ Dial("123")              │ ── one session, TLS ─► │ has 123? authorized? │ ◄── 123
//	│ 1 own clients            │ ◄─ open, or moved ──── │ joins both streams   │
//	│ 2 who had it last        │                        └──────────────────────┘
//	│ 3 registry: who has 123? │ ┄┄┄┄┄┄┄┄ engine ┄┄┄┄┄┄┄┄┄┄┄ 123 is here
//	└──────────────────────────┘
//
// A client of the own process is dialled without anybody else. For another, the registry
// says which replica claims it, and that one is asked, over one multiplexed session that
// is opened when it is first needed and closed when it is idle. It answers that the
// connection is open, or that it has the client no more; it never asks others in turn.
// Bytes do not travel through the registry's engine.
//
// The [Registry] is a hint, and the replica that has the client the truth. An entry that
// is stale, forged or double costs a try, and never leads to another client; so nothing
// has to be agreed upon, stored or renewed.
//
// # When something fails
//
//	                         own clients  a client that was  any other client
//	                                      dialled before
//	replica killed           work         next replica       at once, or resent until noticed
//	replica hangs            -            after 1 s, next    another claim, or PeerError
//	replica cut from engine  work         works              not found there: ErrNotConnected,
//	                                                         which is wrong until it is back
//	replicas cut apart       work         next replica       PeerError, which names the replica
//	engine split             work         works              each side finds its own
//	engine down              work         works              ErrUnavailable, at once
//	same ID on two replicas  own          owner decides      either that is alive: the older
//	                                                         is asked for a sign of life
//	drain                    clients move next replica       next replica
//
// Sessions of clients and connections that are open do not depend on the engine: when
// it is away, nothing is closed, and new clients are let in. What was announced is
// announced again when it is back, also if it comes back empty.
//
// "Next replica" is where the client connects then: [Cluster.Wait] and
// [WithWaitForClient] wait for that.
//
// # What a connection promises
//
// The same as without a hop (package mux): [io.EOF] only if the client has finished the
// stream, half-close, what was written before Close arrives, a reader that is slow stops
// the writer. Two things are different: a client whose session is lost shows as
// mux.ErrReset, because it is the replica in between that tells, and the addresses
// of the connection are those of the session between the replicas.
//
// # Who is who
//
// Replicas and services know each other by certificates of an authority that certifies
// nobody else (TLS 1.3, both ways). That of a replica has its name, which is verified
// before anything is asked; that of a service is for client authentication alone, so that
// it cannot pose as a replica. Nothing switches that off. [WithAuthorize] decides, where
// the client is connected, who may dial it.
//
// A replica that was taken over can claim any ID. Where that matters, let client and user
// authenticate each other through the connection, by TLS or SSH.
//
// # Shutting down
//
// Shut down the server of the clients first, which moves them to other replicas and waits
// for their connections, those of other replicas among them; then what dials by the
// cluster, such as an HTTP server; then the cluster itself:
//
//	err := errors.Join(server.Shutdown(ctx), web.Shutdown(ctx), replica.Shutdown(ctx))
//
// # Limits
//
// An ID is what [fleet.CheckID] accepts; registries take any 1 to 1,024 bytes. A Dial asks
// the replica that had the client last, and then three that claim it, at most. It is
// remembered where 65,536 clients were. A process has sessions with 4,096 replicas at
// most; each costs some 36 KiB when it is idle. A connection that leads through a replica
// costs two goroutines there.
//
// [io.EOF]: https://pkg.go.dev/io#EOF
package cluster
