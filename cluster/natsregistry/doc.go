// Package natsregistry is the registry of a cluster on NATS:
//
//	registry, err := natsregistry.Connect("tls://nats.example:4222", natsregistry.Config{
//		Options: []nats.Option{nats.UserInfo("replica", password)},
//	})
//
// Package cluster/natsserver runs the server within the program, if there is to be none
// beside it. JetStream is not used.
//
// # How it works
//
// A replica subscribes to a subject of each client that it holds, and answers itself who
// asks there. Nothing is stored, and nothing expires: what a replica has announced is there
// as long as its connection to the engine, of which heartbeats are a matter. If nobody has
// subscribed, the engine says so at once. After an outage all subscribe again, and announce
// once more what they have.
//
// A request that is lost, as in the moments after a crash, is sent again after 10 ms, 20 ms,
// 40 ms, and then every 50 ms. An engine that is known to be away is
// [cluster.ErrUnavailable] at once; one that does not answer, after 5 s.
//
// Servers of an engine tell each other of subscriptions within milliseconds. Until then,
// and while a replica is cut off from the engine, its clients are not found:
// [cluster.ErrNotConnected] may be wrong. For the first second after an outage it is not
// said because nobody has subscribed, as others may still be on their way back.
//
// # Subjects
//
// With backdial for the namespace, and IDs and Runs in base64url without padding:
//
//   - backdial.locate.<id>: holders of a client are asked, with an empty message
//   - backdial.inbox.<user>.<random>.>: a user is answered
//   - backdial.attached.<id>: who watches a client is told who has got it
//   - backdial.node.<run>: a replica is told that another one has got a client of its own
//
// Messages are JSON, of 4 KiB at most. Nothing of a client travels through the engine but
// its ID. An ID of 1024 bytes needs lines of up to 3.3 KB, so a server's max_control_line
// should be what it is by default, 4 KB: a server ends connections that exceed it.
//
// # Permissions
//
// Whoever may subscribe to backdial.locate.* can claim any client, and whoever may publish
// to an inbox can forge an answer. A service that holds no clients needs neither: it may
// ask, and is answered in inboxes of its own User, which others may not read.
//
// Who asks says where to reply, and NATS does not check that it may publish there. So a
// replica does not answer anywhere else than in an inbox of its namespace, and has no
// permission to publish outside the namespace. NATS does not tell it who asks either: a
// service can name an inbox of another user, but has to guess 130 random bits for anybody
// to read what is sent there, which is a true answer.
//
// This is a part of the configuration of nats-server, or of what a Configure of package
// natsserver does. The tests read it from here, and attack it:
//
//	max_payload: 8KB
//	authorization {
//		users: [
//			{
//				user: replica, password: $REPLICA_PASSWORD
//				permissions: {
//					publish: ["backdial.locate.*", "backdial.inbox.*.>", "backdial.attached.*", "backdial.node.*"]
//					subscribe: ["backdial.locate.*", "backdial.inbox.replica.>", "backdial.attached.*", "backdial.node.*"]
//				}
//			}
//			{
//				user: web, password: $WEB_PASSWORD
//				permissions: {
//					publish: ["backdial.locate.*"]
//					subscribe: ["backdial.inbox.web.>", "backdial.attached.*"]
//				}
//			}
//		]
//	}
//
// The service has User: "web" in its [Config]. It can locate clients and watch them, so it
// sees which clients attach. Services with the same User can read each other's answers,
// so each needs its own. A replica keeps up to 8,192 questions that it has not answered;
// max_payload bounds what memory they take, 64 MiB in that case. A service that asks for
// more than a replica can answer has other questions be lost: they are sent again, so
// clients are found later, but that two replicas have the same client may not be noticed.
//
// Replicas trust each other: one that lies can claim any client, which is why a client
// should know whom it talks to by means of its own.
package natsregistry
