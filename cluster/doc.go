// Package cluster lets any replica of a server dial any client.
//
// A load balancer spreads clients over replicas: each client is connected to one of them, or
// to several (transport.WithSessions). A [Cluster] stands on the fleet of clients of its
// process. You dial it in the same way as the fleet, and it reaches the clients of the other
// replicas too:
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
// [Cluster.DialContext] fits wherever a program dials a network address, and
// [Cluster.Transport] sends HTTP requests by ID; with it, a [fleet.ReverseProxy] on any
// replica serves the pages of all clients.
//
// Without a registry it is the fleet of one machine; code that dials need not change when
// there are more. A service without clients dials as well: New(nil, …).
//
// # How a client is found
//
//	    service, or replica A                                 replica B
//	┌──────────────────────────┐                        ┌──────────────────────┐
//	│ Dial("123")              │ ─── sessions, TLS ───► │ has 123? authorized? │ ◄── 123
//	│ 1 own clients            │ ◄─ open, or moved ──── │ joins both streams   │
//	│ 2 who had it last        │                        └──────────────────────┘
//	│ 3 registry: who has 123? │ ┄┄┄┄┄┄┄┄ engine ┄┄┄┄┄┄┄┄┄┄┄ 123 is here
//	└──────────────────────────┘
//
// A cluster dials a client of its own process directly. For any other client, the registry
// says which replica claims it. The cluster asks that replica, over a multiplexed session
// that it opens when it first needs it and closes when it is idle. The replica answers that
// the connection is open, or that it no longer has the client; it never asks other replicas in
// turn. Bytes do not travel through the registry's engine.
//
// When all sessions with a replica have four connections each, the cluster opens another, up to
// one for each processor and four in all. New connections go to the session that has the
// fewest. So several processors encrypt, and a lost packet holds up only some connections. If
// another session cannot be opened, the open ones stay in use.
//
// The [Registry] is a hint, and the replica that has the client the truth. A stale, forged or
// duplicate entry costs a try, and never leads to another client. So nothing has to be agreed
// upon, stored or renewed.
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
// Sessions of clients and open connections do not depend on the engine: when it is away,
// nothing is closed, and new clients are let in. When it is back, replicas announce their
// clients again, even if it comes back empty.
//
// "Next replica" is where the client connects then: [Cluster.Wait] and [WithWaitForClient]
// wait for that.
//
// # What a connection promises
//
// The same as without a hop (package mux): Read returns [io.EOF] only if the client has
// finished the stream, one direction may end before the other, what was written before Close
// arrives, and a slow reader stops the writer. Two things differ: the loss of a client's
// session shows as mux.ErrReset, because the replica in between reports it, and the addresses
// of the connection are those of the session between the replicas.
//
// # Who is who
//
// Replicas and services know each other by certificates of an authority that certifies nothing
// else (TLS 1.3, both ways). The certificate of a replica has its name, which others verify
// before they ask anything. That of a service is for client authentication alone, so that the
// service cannot pose as a replica. Nothing switches that off. [WithAuthorize] decides, on the
// replica of the client, who may dial it.
//
// A compromised replica can claim any ID. If that matters, let client and user authenticate
// each other through the connection, by TLS or SSH.
//
// # Shutting down
//
// First shut down the server of the clients, which moves them to other replicas and waits for
// their connections, including those of other replicas; then what dials through the cluster,
// such as an HTTP server; then the cluster itself:
//
//	err := errors.Join(server.Shutdown(ctx), web.Shutdown(ctx), replica.Shutdown(ctx))
//
// # Limits
//
// An ID is what [fleet.CheckID] accepts. A Dial asks the replica that had the client last, and
// then at most three that claim it. A process remembers where 65,536 clients were. It has at
// most 4,096 sessions with replicas, and one more takes the place of the one that has been
// unused for the longest time; each costs some 36 KiB when it is idle. A connection through a
// replica costs two goroutines there.
//
// [io.EOF]: https://pkg.go.dev/io#EOF
package cluster
