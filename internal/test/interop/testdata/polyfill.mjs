// What @moq/qmux needs and Node has not before version 22.
import { webcrypto } from "node:crypto";
import WebSocket from "ws";

globalThis.WebSocket ??= WebSocket;
globalThis.crypto ??= webcrypto; // for client.js
Promise.withResolvers ??= function () {
	let resolve, reject;
	const promise = new this((...both) => ([resolve, reject] = both));
	return { promise, resolve, reject };
};
