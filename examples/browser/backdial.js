// A browser's tab as a client: it connects to a server, and the server dials it.
//
//	import {listen} from './backdial.js';
//
//	const session = await listen('https://example.com/tab?token=…', async (stream) => {
//	  await stream.readable.pipeTo(stream.writable); // an echo
//	});
//	await session.closed; // rejects if it was lost
//
// The server has to have carrier/webtransport and mux/nativemux, and to allow
// the page's origin. Copy this file: it needs no other. It is tested with
// Chromium.

const protocol = 'backdial.v1.native';

// listen connects to url and has onStream called with each stream that the
// server dials: a WebTransportBidirectionalStream, with a readable and a
// writable half. It returns the session, a WebTransport, when it is connected.
// Its closed resolves when the session is closed, and rejects when it is lost.
// Its close() ends the session. What has not reached the server by then is lost,
// so finish the streams first.
//
// hash is the SHA-256 of the server's certificate, as a Uint8Array, if no CA
// that the browser trusts has signed it. The browser takes such a certificate
// only if it is of ECDSA and valid for no more than 14 days.
//
// onStream has to finish both halves, by close, abort or cancel, or by reading
// to the end. A stream that it leaves open counts against the hundred or so that
// a browser allows at a time; the server's next Dial waits. One that it leaves
// unread holds up to 6 MiB of the 15 MiB that Chromium buffers in a session; then
// all streams stand still. An error that onStream throws resets both halves,
// unless they are locked by a reader or writer.
//
// What a browser cannot do:
//
//   - open streams: the server takes none
//   - send headers, an Authorization among them, or a client certificate: what
//     the server is to know goes into the URL
//   - say why it cannot connect: 'Opening handshake failed' is all that a page
//     is told, whether of a certificate, an origin, a status or a dead server.
//     The server's log knows more
//   - go by TCP where UDP is blocked, or through a proxy
//   - connect from a page that is neither https nor of this machine
//   - outlive its page: leaving it ends the session, and the server knows at
//     once. Of a browser that quits or crashes it may know 30 s later
export async function listen(url, onStream, {hash} = {}) {
  const options = {protocols: [protocol]};
  if (hash) options.serverCertificateHashes = [{algorithm: 'sha-256', value: hash}];
  const session = new WebTransport(url, options);
  await session.ready;
  if (session.protocol !== protocol) {
    session.close();
    throw new Error(`${url} does not speak ${protocol}, or this browser cannot ask for it`);
  }
  accept(session, onStream);
  return session;
}

async function accept(session, onStream) {
  const streams = session.incomingBidirectionalStreams.getReader();
  try {
    for (;;) {
      const {value: stream, done} = await streams.read();
      if (done) return;
      serve(stream, onStream);
    }
  } catch {
    // The session is lost. Its closed tells why.
  }
}

async function serve(stream, onStream) {
  try {
    await onStream(stream);
  } catch (err) {
    console.error('backdial: onStream:', err);
    stream.readable.cancel(err).catch(() => {}); // fails if it is over, or locked
    stream.writable.abort(err).catch(() => {});
  }
}
