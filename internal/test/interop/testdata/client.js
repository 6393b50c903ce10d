// A client that does with the streams of its server what their first line says.
import Session, { StreamError } from "@moq/qmux";

let report; // tells the test something
let session;

// run connects to settings.url, and again when the session ends if settings.reconnect.
export async function run(settings) {
	report = (what) => fetch(settings.report, { method: "POST", body: JSON.stringify(what) }).catch(() => {});
	if (settings.plain) delete globalThis.WebSocketStream;
	const config = Object.fromEntries(Object.entries(settings.config ?? {}).map(([name, n]) => [name, BigInt(n)]));
	do {
		session = new Session(settings.url, { protocols: ["qmux-02.backdial.1"], config });
		session.ready.then(() => report({ event: "ready", text: session.protocol }), () => {});
		const ended = session.closed.then(
			({ closeCode, reason }) => ({ event: "closed", code: closeCode, text: reason }),
			(e) => ({ event: "lost", text: `${e.name}: ${e.message}` }),
		);
		await accept(session.incomingBidirectionalStreams.getReader());
		await report(await ended);
	} while (settings.reconnect);
}

async function accept(incoming) {
	try {
		for (;;) {
			const { value, done } = await incoming.read();
			if (done) return;
			serve(value).catch(console.error); // for who reads what a test that fails has said
		}
	} catch {
		// The session is over, which may be what was meant.
	}
}

async function serve(stream) {
	const input = new Input(stream.readable);
	const [verb, ...args] = (await input.line()).split(" ");
	await verbs[verb](input, stream.writable.getWriter(), ...args);
}

const verbs = {
	// echo answers with what it reads, and ends when that does.
	async echo(input, out) {
		for (let chunk; (chunk = await input.next()); ) await out.write(chunk);
		await out.close();
	},

	// digest answers with how much it has read, and the digest.
	async digest(input, out) {
		const all = await input.all();
		await say(out, `${all.byteLength} ${await digest(all)}`);
		await out.close();
	},

	// send answers with so many bytes, and reports their digest.
	async send(input, out, size) {
		const all = new Uint8Array(Number(size));
		for (let i = 0; i < all.byteLength; i += 65536) crypto.getRandomValues(all.subarray(i, i + 65536));
		const sum = await digest(all);
		for (let i = 0; i < all.byteLength; i += 100_000) await out.write(all.subarray(i, i + 100_000));
		await out.close();
		report({ event: "sent", text: sum });
	},

	// first speaks and ends before it reads, and reports what that was.
	async first(input, out) {
		await say(out, "done");
		await out.close();
		report({ event: "got", text: new TextDecoder().decode(await input.all()) });
	},

	// abort gives up what it writes, cancel what it reads.
	async abort(input, out, code) {
		await out.abort(new StreamError(Number(code)));
	},
	async cancel(input, out, code) {
		await input.cancel(new StreamError(Number(code)));
	},

	// watch reads and writes until that fails, and reports with which codes.
	async watch(input, out) {
		await out.write(new Uint8Array(1));
		const code = (ends) => ends.then(() => -1, (e) => e.streamErrorCode ?? -1);
		report({ event: "watched", codes: await Promise.all([code(input.all()), code(out.closed)]) });
	},

	// hold does not read.
	async hold() {},

	// busy does nothing for so many milliseconds, not even receive, then wants no more
	// of what has been sent meanwhile.
	async busy(input, out, ms) {
		for (const end = performance.now() + Number(ms); performance.now() < end; );
		await input.cancel(new StreamError(7));
	},

	// wait answers after so many milliseconds.
	async wait(input, out, ms) {
		await new Promise((resolve) => setTimeout(resolve, Number(ms)));
		await out.close();
	},

	// dial opens so many streams, and reports what is answered on each.
	async dial(input, out, n) {
		const ask = async (_, i) => {
			const { readable, writable } = await session.createBidirectionalStream();
			const writer = writable.getWriter();
			await say(writer, `stream ${i}`);
			await writer.close();
			return new TextDecoder().decode(await new Input(readable).all());
		};
		const answers = await Promise.all(Array.from({ length: Number(n) }, ask));
		report({ event: "dialled", answers });
		await out.close();
	},

	// close ends the session.
	async close(input, out, code, reason) {
		session.close({ closeCode: Number(code), reason });
	},
};

function say(out, text) {
	return out.write(new TextEncoder().encode(text));
}

async function digest(bytes) {
	const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
	return Array.from(sum, (b) => b.toString(16).padStart(2, "0")).join("");
}

// An Input is what comes on a stream.
class Input {
	#reader;
	#rest = new Uint8Array(); // of the chunk that the line was in

	constructor(readable) {
		this.#reader = readable.getReader();
	}

	// line returns the first line, or an empty one if there is none.
	async line() {
		let line = "";
		for (let chunk; (chunk = await this.next()); ) {
			const end = chunk.indexOf(10);
			line += new TextDecoder().decode(end < 0 ? chunk : chunk.subarray(0, end));
			if (end >= 0) {
				this.#rest = chunk.subarray(end + 1);
				return line;
			}
		}
		return line || "echo"; // an empty stream
	}

	// next returns what comes next, or undefined at the end.
	async next() {
		if (this.#rest.byteLength > 0) {
			const rest = this.#rest;
			this.#rest = new Uint8Array();
			return rest;
		}
		return (await this.#reader.read()).value;
	}

	async all() {
		const chunks = [];
		for (let chunk; (chunk = await this.next()); ) chunks.push(chunk);
		return new Uint8Array(await new Blob(chunks).arrayBuffer());
	}

	cancel(reason) {
		return this.#reader.cancel(reason);
	}
}
