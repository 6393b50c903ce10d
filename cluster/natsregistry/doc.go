// Package natsregistry is the registry of a cluster on NATS:
//
//	registry, err := natsregistry.Connect("tls://nats.example:4222", natsregistry.Config{
//		Options: []nats.Option{nats.UserInfo("replica", password), nats.CustomInboxPrefix("_INBOX.replica")},
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
//   - backdial.attached.<id>: who watches a client is told who has got it
//   - backdial.node.<run>: a replica is told that another one has got a client of its own
//   - an inbox: answers
//
// Messages are JSON, of 4 KiB at most. Nothing of a client travels through the engine but
// its ID. An ID of 1024 bytes needs lines of up to 3.3 KB, so a server's max_control_line
// should be what it is by default, 4 KB: a server ends connections that exceed it.
//
// # Permissions
//
// Whoever may subscribe to backdial.locate.* can claim any client, and whoever may publish
// to an inbox can forge an answer. A service that holds no clients needs neither. Each user
// needs an inbox prefix of its own, for others not to read its answers. This is a part of
// the configuration of nats-server, or of what a Configure of package natsserver does; it
// is what is tested:
//
//	authorization {
//		users: [
//			{
//				user: replica, password: $REPLICA_PASSWORD
//				permissions: {
//					publish: ["backdial.locate.*", "backdial.attached.*", "backdial.node.*", "_INBOX.>"]
//					subscribe: ["backdial.locate.*", "backdial.attached.*", "backdial.node.*", "_INBOX.replica.>"]
//				}
//			}
//			{
//				user: web, password: $WEB_PASSWORD
//				permissions: {
//					publish: ["backdial.locate.*"]
//					subscribe: ["backdial.attached.*", "_INBOX.web.>"]
//				}
//			}
//		]
//	}
//
// The user web can locate clients and watch them, with nats.CustomInboxPrefix("_INBOX.web").
// It can see which clients attach. Replicas trust each other: one that lies can claim any
// client, which is why a client should know whom it talks to by means of its own.
package natsregistry
