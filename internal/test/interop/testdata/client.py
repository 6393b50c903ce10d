"""A client of backdial, written from docs/protocol.md with the standard library alone.

    python3 client.py ws://127.0.0.1:8080/connect 'DeviceId: 123'

To each stream that the server opens it answers HTTP, if the first line is a request, and
otherwise sends back what arrives. It prints what happens, and leaves upon SIGTERM.
"""
import asyncio, base64, hashlib, os, random, signal, ssl, struct, sys, time, urllib.parse

TOKEN = "backdial.v1.yamux"
DATA, UPDATE, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8
MOVE, MOVED, STAYING, LEAVING, CLOSING, SERVER, FAILED, ENDING = range(1, 9)
WINDOW = 256 << 10
KEEPALIVE = 15


class Refused(Exception):
    def __init__(self, status, answer):
        super().__init__(f"refused {status}")
        self.final = answer.get("backdial-rejected") == "1"
        self.seldom = status < 500 and status not in (408, 409, 421, 425, 429)
        after = answer.get("retry-after", "")
        self.after = min(int(after), 3600) if after.isdigit() else 0


class WebSocket:
    async def connect(self, url, fields):
        u = urllib.parse.urlsplit(url)
        tls = ssl.create_default_context() if u.scheme == "wss" else None
        self.reader, self.writer = await asyncio.open_connection(u.hostname, u.port or (443 if tls else 80), ssl=tls)
        key = base64.b64encode(os.urandom(16)).decode()
        path = (u.path or "/") + ("?" + u.query if u.query else "")
        request = [f"GET {path} HTTP/1.1", f"Host: {u.netloc}", "Connection: Upgrade", "Upgrade: websocket",
                   "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", f"Sec-WebSocket-Protocol: {TOKEN}", *fields]
        self.writer.write("\r\n".join([*request, "", ""]).encode())
        line, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        answer = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status, chosen = int(line.split()[1]), answer.get("sec-websocket-protocol")
        if status != 101:
            raise Refused(status, answer)
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
        if answer.get("sec-websocket-accept") != accept or chosen not in (None, TOKEN):
            raise OSError("not an answer to this handshake")
        self.negotiated = chosen is not None
        return self

    def send(self, data, op=2):
        mask, n = os.urandom(4), len(data)
        length = bytes([128 | n]) if n < 126 else struct.pack(">BH", 254, n) if n < 1 << 16 else struct.pack(">BQ", 255, n)
        masked = int.from_bytes(data, "big") ^ int.from_bytes((mask * (n // 4 + 1))[:n], "big")
        self.writer.write(bytes([128 | op]) + length + mask + masked.to_bytes(n, "big"))

    async def read(self):
        """Returns the payload of a frame of a message, or None after the server's close frame."""
        op, n = await self.reader.readexactly(2)
        if n > 125:
            n = int.from_bytes(await self.reader.readexactly(2 if n == 126 else 8), "big")
        payload, op = await self.reader.readexactly(n), op & 15
        if op == 8 and payload[:2] not in (b"\x03\xe8", b"\x03\xe9"):  # 1000, 1001
            raise OSError(f"close frame {payload!r}")
        if op == 9:
            self.send(payload, 10)
        return None if op == 8 else payload if op in (0, 2) else b""


class Stream:
    def __init__(self, session, id, room):
        self.session, self.id, self.room, self.allowed, self.taken = session, id, WINDOW + room, WINDOW, 0
        self.input, self.more, self.ended, self.finished, self.error = asyncio.StreamReader(), asyncio.Event(), False, False, None
        session.frame(UPDATE, ACK, id, 0)

    def receive(self, kind, flags, length, data):
        if kind == UPDATE:
            self.room += length
        elif not self.ended:
            self.allowed -= length
            if self.allowed < 0:
                raise OSError("the server exceeds the window")
            self.input.feed_data(data)
        if flags & FIN:
            self.ended = True
            self.input.feed_eof()
        if flags & RST:
            self.fail(ConnectionResetError("reset by the server"))
        self.more.set()

    def fail(self, error):
        self.error = error
        self.input.set_exception(error)
        self.more.set()
        self.session.streams.pop(self.id, None)

    async def read(self, line=False):
        data = await (self.input.readline() if line else self.input.read(1 << 16))
        self.taken += len(data)
        if self.taken >= WINDOW // 2 and not self.ended:
            self.session.frame(UPDATE, 0, self.id, self.taken)
            self.allowed, self.taken = self.allowed + self.taken, 0
        return data

    async def write(self, data):
        while data:
            while not self.room and not self.error:
                self.more.clear()
                await self.more.wait()
            if self.error:
                raise self.error
            n = min(len(data), self.room, 32 << 10)
            self.session.frame(DATA, 0, self.id, n, data[:n])
            self.room, data = self.room - n, data[n:]
            await self.session.ws.writer.drain()

    def close(self, flag=FIN):
        if not self.finished and not self.error:
            self.session.frame(UPDATE, flag, self.id, 0)
            if not self.ended and self.allowed == 0 and flag == FIN:  # a server that waits for room hears nothing else
                self.session.frame(UPDATE, RST, self.id, 0)
        self.finished = True
        self.session.streams.pop(self.id, None)


class Session:
    def __init__(self, client, ws):
        self.client, self.ws, self.streams, self.highest, self.why = client, ws, {}, 0, ""
        self.began, self.heard, self.over, self.moving = time.monotonic(), time.monotonic(), False, False

    def frame(self, kind, flags, stream, length, data=b""):
        if not self.over:
            self.ws.send(struct.pack(">BBHII", 0, kind, flags, stream, length) + data)

    def say(self, kind):
        if self.ws.negotiated:
            self.frame(DATA, 0, 0, 1, bytes([kind]))

    async def run(self):
        """Takes frames until the session ends, and returns why that is."""
        watch, buffer = self.client.spawn(self.watch()), b""
        try:
            while (payload := await self.ws.read()) is not None:
                self.heard, buffer = time.monotonic(), buffer + payload
                while len(buffer) >= 12:
                    version, kind, flags, id, length = struct.unpack(">BBHII", buffer[:12])
                    end = 12 + (length if kind == DATA else 0)
                    if version or kind > GO_AWAY:
                        raise OSError("the server does not speak yamux")
                    if len(buffer) < end:
                        break
                    self.receive(kind, flags, id, length, buffer[12:end])
                    buffer = buffer[end:]
            self.close()
            return "closed " + self.why
        except (OSError, EOFError) as err:
            return f"lost: {err}"
        finally:
            self.over = True
            watch.cancel()
            for stream in list(self.streams.values()):
                stream.fail(ConnectionAbortedError("the session has ended"))
            self.ws.writer.close()

    async def watch(self):
        while time.monotonic() - self.heard < 2 * KEEPALIVE:
            await asyncio.sleep(KEEPALIVE)
            self.frame(PING, SYN, 0, 1)
        self.ws.writer.transport.abort()

    def close(self):
        if not self.over:
            self.ws.send(struct.pack(">H", 1000), 8)
        self.over = True

    def receive(self, kind, flags, id, length, data):
        if kind == PING:
            if flags & SYN:
                self.frame(PING, ACK, 0, length)
        elif kind == GO_AWAY:
            if length:
                raise OSError(f"go away {length}")
        elif id == 0:
            self.control(data)
        elif flags & SYN:
            self.highest = id
            if self.client.leaving.is_set():
                return self.frame(UPDATE, RST, id, 0)
            self.streams[id] = stream = Stream(self, id, length if kind == UPDATE else 0)
            stream.receive(kind, flags, length if kind == DATA else 0, data)
            self.client.spawn(serve(stream))
        elif id > self.highest:
            raise OSError(f"a frame for stream {id}, which was never opened")
        elif id in self.streams:
            self.streams[id].receive(kind, flags, length, data)
        elif data:
            self.frame(UPDATE, RST, id, 0)

    def control(self, message):
        kind, rest = varint(message)
        number, text = varint(rest)
        if kind == MOVE and number is not None and not self.moving:
            print("asked to move", flush=True)
            self.moving = True
            self.client.spawn(self.client.succeed(self, number / 1000))
        elif kind in (CLOSING, ENDING, SERVER) and number is not None and number <= len(text):
            text = text[:number].decode(errors="replace")
            if kind == SERVER:
                print("server", text, flush=True)
            else:
                self.why += f"{'reason' if kind == CLOSING else 'word'} {text!r} "


def varint(b):
    """Returns the number that b begins with, or None, and the rest."""
    for i, byte in enumerate(b[:10]):
        if byte < 128:
            return sum((byte & 127) << 7 * j for j, byte in enumerate(b[:i + 1])), b[i + 1:]
    return None, b""


async def serve(stream):
    try:
        line = await stream.read(line=True)
        while line.endswith(b" HTTP/1.1\r\n"):
            while await stream.read(line=True) not in (b"\r\n", b""):
                pass
            page = line.split()[1]
            await stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(page), page))
            line = await stream.read(line=True)
        if line == b"reset\n":
            return stream.close(RST)
        while line and line != b"close\n":
            await stream.write(line)
            line = await stream.read()
    except OSError as err:
        print("stream failed:", err, flush=True)
    finally:
        stream.close()


class Client:
    def __init__(self, url, fields):
        self.url, self.fields, self.tasks, self.leaving = url, fields, set(), asyncio.Event()
        self.sessions, self.current, self.attempts, self.refusals = [], None, 0, 0

    def spawn(self, work):
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def pause(self, seldom=False, after=0):
        """Waits before the next attempt."""
        self.attempts, self.refusals = self.attempts + 1, self.refusals + seldom
        most = min(15 * 2 ** self.refusals, 300) if seldom else min(0.25 * 2 ** self.attempts, 30)
        await asyncio.sleep(max(random.uniform(most / 2, most), min(after, 300)) if seldom else random.uniform(0, most) + after)

    async def connect(self, old):
        while True:
            try:
                ws = await asyncio.wait_for(WebSocket().connect(self.url, self.fields), 10)
                self.refusals = 0
                return Session(self, ws)
            except (OSError, EOFError, asyncio.TimeoutError, Refused) as err:
                if isinstance(err, Refused) and err.final:
                    raise
                print("failed:", err, flush=True)
                if old and not old.over:
                    old.say(FAILED)
                await self.pause(getattr(err, "seldom", False), getattr(err, "after", 0))

    async def succeed(self, old, delay=0):
        """Makes the session that follows old, which goes on if it has not been lost."""
        try:
            await asyncio.sleep(delay)
            self.current = session = await self.connect(old)
        except Refused as err:
            print(err, "for good", flush=True)
            if not old or old.over:
                return self.leaving.set()
            old.moving = False
            return old.say(STAYING)
        print("connected", flush=True)
        self.sessions.append(session)
        self.spawn(self.hold(session))
        if old:
            old.say(MOVED)

    async def hold(self, session):
        print("ended:", await session.run(), flush=True)
        self.sessions.remove(session)
        if time.monotonic() - session.began >= 30:
            self.attempts = 0
        if session is self.current and not session.moving and not self.leaving.is_set():
            await self.pause()
            await self.succeed(session)

    async def run(self):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.leaving.set)
        self.spawn(self.succeed(None))
        await self.leaving.wait()
        for session in self.sessions:
            session.say(LEAVING)
            session.frame(GO_AWAY, 0, 0, 0)
        while any(session.streams for session in self.sessions):
            await asyncio.sleep(0.01)
        for session in self.sessions:
            session.close()
        for _ in range(300):  # at most so long for the servers' close frames
            await asyncio.sleep(0.01 if self.sessions else 0)
        print("gone", flush=True)


if __name__ == "__main__":
    asyncio.run(Client(sys.argv[1], sys.argv[2:]).run())
