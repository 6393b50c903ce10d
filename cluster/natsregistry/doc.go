// Package natsregistry is the registry of a cluster, on NATS:
//
//	registry, err := natsregistry.Connect("tls://nats.example:4222", natsregistry.Config{
//		Options: []nats.Option{nats.UserInfo("replica", password)},
//	})
//
// Package cluster/natsserver runs the NATS server in the same program, if you do not want another
// process. The registry does not use JetStream.
//
// # How it works
//
// A replica subscribes to a subject for each client that it holds, and itself answers questions
// there. Nothing is stored, and nothing expires: a claim lives as long as the replica's connection
// to the engine, which has heartbeats. If no replica has subscribed, the engine says so at once.
// After an outage all replicas subscribe again, and announce what they have once more.
//
// The registry repeats a request that may be lost, as in the moments after a crash, after 10 ms,
// 20 ms, 40 ms, and then every 50 ms. It returns [cluster.ErrUnavailable] at once if it knows that
// the engine is away, and after 5 s if the engine does not answer.
//
// Servers of an engine tell each other of subscriptions within milliseconds. Until then, and while a
// replica is cut off from the engine, its clients are not found: [cluster.ErrNotConnected] may be
// wrong. In the first second after an outage, the lack of a subscription does not lead to that error,
// because other replicas may still be on their way back.
//
// # Subjects
//
// With backdial for the namespace, and IDs and Runs in base64url without padding:
//
//   - backdial.locate.<id>: a question to the holders of a client, as an empty message
//   - backdial.inbox.<user>.<random>.>: answers to a user
//   - backdial.attached.<id>: to the watchers of a client, which replica has got it
//   - backdial.node.<run>: to a replica, that another one has got one of its clients
//
// Messages are JSON, of at most 4 KiB. Of a client only its ID travels through the engine. An ID of
// 1024 bytes needs lines of up to 3.3 KB, so leave a server's max_control_line at its default, 4 KB:
// a server ends connections that exceed it.
//
// # Permissions
//
// A user who may subscribe to backdial.locate.* can claim any client, and a user who may publish to
// an inbox can forge an answer. A service that holds no clients needs neither: it may ask, and gets
// answers in inboxes of its own User, which others may not read.
//
// A question names the subject for the reply, and NATS does not check that the sender may publish
// there. So a replica answers only in inboxes of its namespace, and has no permission to publish
// outside the namespace. NATS does not tell it who asks, either: a service can name an inbox of another
// user, but would have to guess 130 random bits for that user to read the answer, which is true.
//
// This is a part of the configuration of nats-server; with package natsserver, let Configure do the
// same. The tests read it from here, and attack it:
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
// The service has User: "web" in its [Config]. It can locate clients and watch them, so it sees which
// clients attach. Services with the same User can read each other's answers, so each needs its own. A
// replica keeps up to 8,192 questions that it has not answered; max_payload, and max_control_line for
// subjects, limit their memory, here to 96 MiB. If a service asks more than a replica can answer, other
// questions get lost. They are sent again, so clients are found later; but replicas may fail to notice
// that two of them have the same client.
//
// NATS itself does not limit what a user asks or subscribes to, and serves others more slowly meanwhile:
// a thousand subscriptions of one service to backdial.attached.* took a server 3.6 s, and a flood of
// questions from four connections kept clients from being found for longer than 5 s. Sessions of
// clients, open connections and clients that were dialled before do not need NATS. A service that you
// do not trust that far should reach clients through a replica of yours, over HTTP, and not have access
// to NATS.
//
// Replicas trust each other: one that lies can claim any client. So a client should use means of its
// own to know its peer.
package natsregistry
