package muxtest_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/backdial/backdial/mux"
	. "github.com/backdial/backdial/mux/muxtest"
	"github.com/backdial/backdial/mux/qmux"
)

// A fault is a mistake in a muxer, and the promises that it breaks.
type fault struct {
	name   string
	muxer  mux.Muxer
	breaks []Promise // nil if the suite passes
	only   Promise   // the one that is tested, or its part, if not all
	says   string    // part of what the suite prints
	fast   bool      // it shows only where bytes arrive faster than slow readers read
}

var faults = []fault{{
	name:  "None",
	muxer: streams(func(_ mux.Session, st mux.Stream) mux.Stream { return st }),
}, {
	name:   "LostIsEnd",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return lostIsEnd{st} }),
	breaks: []Promise{Check, DeadPeer, DeafPeer, EOFOnlyAfterEnd, WriteTo},
}, {
	name:   "LostDropsArrived",
	muxer:  sides{dial: sound, listen: streams(func(s mux.Session, st mux.Stream) mux.Stream { return hasty{st, s} })},
	breaks: []Promise{WrittenArrives},
}, {
	name:   "LostDropsUnaccepted",
	muxer:  sessions(func(s mux.Session) mux.Session { return forgetful{s} }),
	breaks: []Promise{WrittenArrives},
}, {
	name: "CloseDropsQueue",
	muxer: faulty(func(sound start) start {
		return func(conn net.Conn, config mux.Config) (mux.Session, error) {
			c := &mutable{halfCloser: conn.(halfCloser)}
			s, err := sound(c, config)
			return muting{s, c}, err
		}
	}),
	breaks: []Promise{Messages},
}, {
	name:   "CloseWriteDropsTail",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return &tailless{Stream: st} }),
	breaks: []Promise{ConcurrentWrites, HalfClose, HostileInput, Intact, Reset, SteadyReaders, WriteTo, WrittenArrives},
}, {
	name:   "CloseWriteCloses",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return closeWriteCloses{st} }),
	breaks: []Promise{CloseAfterPeer, HalfClose, Intact, Reset, Shutdown, StreamLimits, Streams},
}, {
	name:   "CloseWriteEndsCredit",
	muxer:  streams(func(s mux.Session, st mux.Stream) mux.Stream { return &uncredited{Stream: st, s: s} }),
	breaks: []Promise{HalfClose, Intact},
}, {
	name:   "DeadlineIgnored",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return timeless{st} }),
	breaks: []Promise{MovedDeadline},
	only:   MovedDeadline, // others set deadlines too, and NetConn waits for minutes
}, {
	name:   "DeadlineOfNextCall",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return &nextCall{Stream: st} }),
	breaks: []Promise{MovedDeadline},
}, {
	name:   "DeadlineOnlyMovesUp",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return earliest{st} }),
	breaks: []Promise{MovedDeadline},
	only:   MovedDeadline, // in others it is a matter of time
}, {
	name:   "DeadlineIsForEver",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return &expired{Stream: st} }),
	breaks: []Promise{MovedDeadline, NetConn, WriteTo},
}, {
	name: "DeadlineWaitsForCarrier",
	muxer: faulty(func(sound start) start {
		return func(conn net.Conn, config mux.Config) (mux.Session, error) {
			c := &locking{halfCloser: conn.(halfCloser)}
			return streams(func(_ mux.Session, st mux.Stream) mux.Stream { return locked{st, c} })(sound)(c, config)
		}
	}),
	breaks: []Promise{MovedDeadline},
}, {
	name:   "DeadlineHasNoName",
	muxer:  mistaking(os.ErrDeadlineExceeded, errors.ErrUnsupported),
	breaks: []Promise{MovedDeadline, NetConn, WriteTo},
}, {
	name:   "ClosedHasNoName",
	muxer:  mistaking(net.ErrClosed, errors.ErrUnsupported),
	breaks: []Promise{CloseWakes, Errors, Reset, Shutdown, WriteTo},
}, {
	name:   "SessionEndedHasNoName",
	muxer:  mistaking(mux.ErrSessionEnded, errors.ErrUnsupported),
	breaks: []Promise{Check, DeadPeer, DeafPeer, EOFOnlyAfterEnd, Errors, WriteEnds, WriteTo},
}, {
	name: "ClosedByPeerHasNoName",
	muxer: recaused(func(cause error) error {
		if errors.Is(cause, mux.ErrClosedByPeer) {
			return fmt.Errorf("%w: %v", mux.ErrSessionEnded, cause)
		}
		return cause
	}),
	breaks: []Promise{Errors},
}, {
	name: "CutIsClosedByPeer",
	muxer: recaused(func(cause error) error {
		if errors.Is(cause, mux.ErrSessionEnded) {
			return fmt.Errorf("%w: %w", cause, mux.ErrClosedByPeer)
		}
		return cause
	}),
	breaks: []Promise{Errors},
}, {
	name:   "ResetIsGoAway",
	muxer:  mistaking(mux.ErrReset, mux.ErrGoAway),
	breaks: []Promise{Check, CloseAfterPeer, Reset, StreamLimits, WriteEnds, WriteTo},
}, {
	name: "ViolationHasNoName",
	muxer: recaused(func(cause error) error {
		if errors.Is(cause, mux.ErrProtocol) {
			return fmt.Errorf("%w: %v", mux.ErrSessionEnded, cause)
		}
		return cause
	}),
	breaks: []Promise{HostileInput},
	only:   HostileInput, // nobody else breaks the protocol
}, {
	name: "ViolationEndsNothing",
	muxer: recaused(func(cause error) error {
		if errors.Is(cause, mux.ErrProtocol) {
			return nil
		}
		return cause
	}),
	breaks: []Promise{HostileInput},
	only:   HostileInput, // nobody else breaks the protocol
}, {
	name: "SessionsStayInMemory",
	muxer: sessions(func(s mux.Session) mux.Session {
		kept.Lock()
		defer kept.Unlock()
		kept.memory = append(kept.memory, make([]byte, 100<<10))
		return s
	}),
	breaks: []Promise{HostileInput},
	only:   HostileInput, // nobody else makes so many
}, {
	name:   "AcceptWaitsForData",
	muxer:  sessions(func(s mux.Session) mux.Session { return patient{s} }),
	breaks: []Promise{OpenIsImmediate},
	only:   OpenIsImmediate, // others open streams and write nothing, too
}, {
	name: "OpenWaitsForCarrier",
	muxer: faulty(func(sound start) start {
		return func(conn net.Conn, config mux.Config) (mux.Session, error) {
			c := &signalling{halfCloser: conn.(halfCloser), written: make(chan struct{})}
			s, err := sound(c, config)
			return flushing{s, c}, err
		}
	}),
	breaks: []Promise{CloseWakes, OpenIsImmediate},
}, {
	name:   "OpenIgnoresContext",
	muxer:  sessions(func(s mux.Session) mux.Session { return stubborn{s} }),
	breaks: []Promise{OpenEndsWithContext},
}, {
	name:   "StreamEndsWithContext",
	muxer:  sessions(func(s mux.Session) mux.Session { return shortLived{s} }),
	breaks: []Promise{OpenEndsWithContext},
	only:   OpenEndsWithContext, // others cancel the contexts of their streams, too
}, {
	name:   "AcceptIgnoresContext",
	muxer:  sessions(func(s mux.Session) mux.Session { return unbounded{s} }),
	breaks: []Promise{AcceptEndsWithContext},
}, {
	name:   "MessagesAreLost",
	muxer:  sessions(func(s mux.Session) mux.Session { return silent{s} }),
	breaks: []Promise{Messages},
	only:   Messages, // nobody else sends any
}, {
	name:   "MessagesAreShared",
	muxer:  sessions(func(s mux.Session) mux.Session { return &lazy{Session: s} }),
	breaks: []Promise{Messages},
	only:   Messages, // nobody else sends any
}, {
	name:   "RoundTripUnknown",
	muxer:  sessions(func(s mux.Session) mux.Session { return immeasurable{s} }),
	breaks: []Promise{RoundTrip},
	only:   RoundTrip, // nobody else asks
}, {
	name:   "PingTrusts",
	muxer:  sessions(func(s mux.Session) mux.Session { return trusting{s} }),
	breaks: []Promise{Ping},
	only:   Ping, // nobody else asks
}, {
	name:   "StreamsAreNotCounted",
	muxer:  sessions(func(s mux.Session) mux.Session { return countless{s} }),
	breaks: []Promise{Streams},
	only:   Streams, // nobody else counts
}, {
	name: "SessionHasOneWindow",
	muxer: faulty(func(sound start) start {
		return func(conn net.Conn, config mux.Config) (mux.Session, error) {
			c := &oneWindow{halfCloser: conn.(halfCloser), limit: 8 << 20}
			c.room.L = &c.mu
			return streams(func(_ mux.Session, st mux.Stream) mux.Stream { return windowed{st, c} })(sound)(c, config)
		}
	}),
	breaks: []Promise{StalledStreams},
}, {
	name:   "ReceiveBufferTooSmall",
	muxer:  configs(func(c *mux.Config) { c.ReceiveBuffer = min(c.WithDefaults().ReceiveBuffer, 8<<20) }),
	breaks: []Promise{StalledStreams},
}, {
	name:   "ReceiveBufferIgnored",
	muxer:  receiveBufferIgnored,
	breaks: []Promise{BoundedMemory},
}, {
	name:   "MaxStreamsIgnored",
	muxer:  configs(func(c *mux.Config) { c.MaxStreams = 0 }),
	breaks: []Promise{StreamLimits},
}, {
	name:   "AcceptBacklogIgnored",
	muxer:  configs(func(c *mux.Config) { c.AcceptBacklog = 0 }),
	breaks: []Promise{CloseWakes, OpenEndsWithContext, StreamLimits},
}, {
	name:   "RefusalEndsSession",
	muxer:  streams(func(s mux.Session, st mux.Stream) mux.Stream { return offended{st, s} }),
	only:   StreamLimits, // whether Shutdown refuses or says go away is a matter of time
	breaks: []Promise{StreamLimits},
}, {
	name:   "WriteNeverFails",
	muxer:  streams(func(s mux.Session, st mux.Stream) mux.Stream { return hopeful{st, s} }),
	breaks: []Promise{CloseAfterPeer, Reset, WriteEnds},
}, {
	name:   "ResetIsClose",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return resetIsClose{st} }),
	breaks: []Promise{Reset},
	only:   Reset, // nobody else resets any
}, {
	name:   "ResetIsEnd",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return resetIsEnd{st} }),
	breaks: []Promise{Reset},
	only:   Reset, // whether Shutdown refuses or says go away is a matter of time
}, {
	name:   "CodeDropped",
	muxer:  based{bare(func(st mux.Stream) mux.Stream { return codeDropped{st} }), qmux.New()},
	breaks: []Promise{ResetWithCode},
	only:   ResetWithCode, // nobody else resets any with a code
}, {
	name:   "NoCodeResetter",
	muxer:  based{bare(func(st mux.Stream) mux.Stream { return struct{ mux.Stream }{st} }), qmux.New()},
	breaks: []Promise{ResetWithCode},
	only:   ResetWithCode, // others do not need it
	says:   "streams have mux.CodeResetter: false on the dial side, false on the listen side",
}, {
	name:   "NoOptionalPowers",
	muxer:  bare(func(st mux.Stream) mux.Stream { return struct{ mux.Stream }{st} }),
	breaks: []Promise{Check, WriteTo},
	says:   "streams have mux.Checker: false on the dial side, false on the listen side",
}, {
	name:   "NoOptionalPowersOnOneSide",
	muxer:  sides{dial: sound, listen: bare(func(st mux.Stream) mux.Stream { return struct{ mux.Stream }{st} })},
	breaks: []Promise{Check},
	only:   Check,
	says:   "streams have mux.Checker: true on the dial side, false on the listen side",
}, {
	name:   "ResetWaits",
	muxer:  streams(func(s mux.Session, st mux.Stream) mux.Stream { return resetWaits{st, s} }),
	breaks: []Promise{Reset},
	only:   Reset, // nobody else resets any
}, {
	name:   "ResetSleepsOn",
	muxer:  streams(func(s mux.Session, st mux.Stream) mux.Stream { return &resetSleepsOn{Stream: st, s: s} }),
	breaks: []Promise{Reset},
	only:   Reset, // nobody else resets any
}, {
	name:   "ResetEndsSession",
	muxer:  streams(func(s mux.Session, st mux.Stream) mux.Stream { return resetEndsSession{st, s} }),
	breaks: []Promise{Reset},
	only:   Reset, // nobody else resets any
}, {
	name:   "ResetStaysInUse",
	muxer:  sessions(func(s mux.Session) mux.Session { return &resetStaysInUse{Session: s} }),
	breaks: []Promise{Reset},
	only:   Reset, // nobody else resets any
}, {
	name:   "ResetUndoesClose",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return &resetUndoesClose{Stream: st} }),
	breaks: []Promise{Reset},
	only:   Reset, // in others it is a matter of time
}, {
	name:   "SecondResetFails",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return &resetOnce{Stream: st} }),
	breaks: []Promise{Reset},
	only:   Reset, // nobody else resets any
}, {
	name:   "WriteToEndsWithAll",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return writeToEndsWithAll{st} }),
	breaks: []Promise{WriteTo},
	only:   WriteTo, // others use it, and it is a matter of time
}, {
	name:   "WriteToReadsAhead",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return writeToReadsAhead{st} }),
	breaks: []Promise{WriteTo},
	only:   WriteTo, // in others it is a matter of time
}, {
	name:   "WriteToDropsTail",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return writeToDropsTail{st} }),
	breaks: []Promise{WriteTo},
	only:   WriteTo, // nobody else looks
}, {
	name:   "WriteToReusesMemory",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return &writeToReusesMemory{Stream: st} }),
	breaks: []Promise{WriteTo},
	only:   WriteTo, // nobody else looks
}, {
	name:   "WriteToHandsOverTwice",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return &writeToHandsOverTwice{Stream: st} }),
	breaks: []Promise{WriteTo},
	only:   WriteTo, // nobody else looks
}, {
	name:   "WriteToForgetsWriter",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return writeToForgetsWriter{st} }),
	breaks: []Promise{WriteTo},
	only:   WriteTo, // nobody else looks
}, {
	name:   "CheckIsBlind",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return checkIsBlind{st} }),
	breaks: []Promise{Check},
	only:   Check, // nobody else asks
}, {
	name:   "CheckTakesEndForCut",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return &checkTakesEndForCut{Stream: st} }),
	breaks: []Promise{Check},
	only:   Check, // nobody else asks
}, {
	name:   "AcceptSleepsOn",
	muxer:  sides{dial: sessions(func(s mux.Session) mux.Session { return &sleeper{Session: s} }), listen: sound},
	breaks: []Promise{CloseWakes},
}, {
	name:   "SecondCloseFails",
	muxer:  sessions(func(s mux.Session) mux.Session { return &closeOnce{Session: s} }),
	breaks: []Promise{CloseWakes},
	only:   CloseWakes, // nobody else looks
}, {
	name:   "SecondStreamCloseFails",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return &streamCloseOnce{Stream: st} }),
	breaks: []Promise{CloseWakes},
	only:   CloseWakes, // nobody else looks
}, {
	name: "GoroutineLeaks",
	muxer: sessions(func(s mux.Session) mux.Session {
		go leak(make(chan struct{}))
		return s
	}),
	breaks: []Promise{CloseWakes},
	only:   CloseWakes, // all leak
	says:   "muxtest_test.leak",
}, {
	name:   "KeepAliveOff",
	muxer:  configs(func(c *mux.Config) { c.KeepAlive = -1 }),
	breaks: []Promise{DeadPeer, DeafPeer, WriteEnds},
}, {
	name: "IdleIsDead",
	muxer: faulty(func(sound start) start {
		return func(conn net.Conn, config mux.Config) (mux.Session, error) {
			if d := config.WithDefaults().KeepAlive; d > 0 {
				time.AfterFunc(3*d, func() { conn.Close() })
			}
			return sound(conn, config)
		}
	}),
	breaks: []Promise{DeadPeer, DeafPeer},
}, {
	name:   "ShutdownCloses",
	muxer:  sessions(func(s mux.Session) mux.Session { return impolite{s} }),
	breaks: []Promise{Shutdown},
}, {
	name:   "ShutdownIgnoresContext",
	muxer:  sessions(func(s mux.Session) mux.Session { return tooPolite{s} }),
	breaks: []Promise{EOFOnlyAfterEnd, Shutdown},
}, {
	name:   "ByteFlippedLate",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return &byteFlippedLate{Stream: st} }),
	breaks: []Promise{Intact},
	only:   Intact, // nobody else reads as much
}, {
	name:   "WriteKeepsBuffer",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return newWriteKeepsBuffer(st) }),
	breaks: []Promise{Intact},
	only:   Intact, // in others it is a matter of time
}, {
	name:   "EmptyReadBlocks",
	muxer:  streams(func(s mux.Session, st mux.Stream) mux.Stream { return emptyReadBlocks{st, s} }),
	breaks: []Promise{Intact},
	only:   Intact, // nobody else does it
}, {
	name:   "EmptyWriteEnds",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return emptyWriteEnds{st} }),
	breaks: []Promise{Intact},
	only:   Intact, // nobody else does it
}, {
	name:   "WritesInterleave",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return writesInterleave{st} }),
	breaks: []Promise{ConcurrentWrites},
}, {
	name:   "200Streams",
	muxer:  sessions(func(s mux.Session) mux.Session { return newFewStreams(s, 200) }),
	breaks: []Promise{ManyStreams},
	only:   ManyStreams, // others do not need as many
}, {
	name:   "3000Streams",
	muxer:  sessions(func(s mux.Session) mux.Session { return newFewStreams(s, 3000) }),
	breaks: []Promise{ManyStreams},
	only:   ManyStreams, // others do not need as many
}, {
	name:   "65536Streams",
	muxer:  sessions(func(s mux.Session) mux.Session { return newFewStreams(s, 65536) }),
	breaks: []Promise{ManyStreams},
	only:   ManyStreams, // others do not need as many
}, {
	name:   "StreamsStayInMemory",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return streamsStayInMemory{st} }),
	breaks: []Promise{ManyStreams},
	only:   ManyStreams, // others do not need as many
}, {
	name:   "GoroutinesOfIdleStreams",
	muxer:  streams(newGoroutinesOfIdleStreams),
	breaks: []Promise{ManyStreams},
	only:   ManyStreams, // nobody else counts
}, {
	name:   "DeadlineLate",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return deadlineMoved{st, 300 * time.Millisecond} }),
	breaks: []Promise{MovedDeadline},
	only:   MovedDeadline, // in others it is a matter of time
}, {
	name:   "DeadlineVeryLate",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return deadlineMoved{st, 10 * time.Second} }),
	breaks: []Promise{MovedDeadline},
	only:   MovedDeadline, // in others it is a matter of time
}, {
	name:   "DeadlineEarly",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return deadlineMoved{st, -20 * time.Millisecond} }),
	breaks: []Promise{MovedDeadline},
	only:   MovedDeadline, // in others it is a matter of time
}, {
	name:   "AddressesSwapped",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return addressesSwapped{st} }),
	breaks: []Promise{Addresses},
}, {
	name:   "WindowIgnored",
	muxer:  configs(func(c *mux.Config) { c.Window = 0 }),
	breaks: []Promise{Distance},
	only:   Distance, // nobody else sets it
}, {
	name:   "MaxWindowIgnored",
	muxer:  configs(func(c *mux.Config) { c.MaxWindow = 0 }),
	breaks: []Promise{Distance},
	only:   Distance, // nobody else sets it
}, {
	name:   "WindowFixed",
	muxer:  configs(func(c *mux.Config) { c.MaxWindow = 1 }),
	breaks: []Promise{Distance},
	only:   Distance, // others are not as far apart
}, {
	name:   "RoundTripStale",
	muxer:  sessions(func(s mux.Session) mux.Session { return &roundTripStale{Session: s} }),
	breaks: []Promise{Distance},
	only:   Distance, // elsewhere it does not change
}, {
	name:   "RoundTripTenfold",
	muxer:  sessions(func(s mux.Session) mux.Session { return roundTripTenfold{s} }),
	breaks: []Promise{Distance},
	only:   Distance, // elsewhere it is too short to tell
}, {
	name: "MessagesOverlap",
	muxer: configs(func(c *mux.Config) {
		if hear := c.OnMessage; hear != nil {
			c.OnMessage = func(m []byte) { go hear(m) }
		}
	}),
	breaks: []Promise{Messages},
	only:   Messages, // nobody else sends any
}, {
	name:   "SmallWaitsBesideBulk",
	muxer:  sessions(newSmallWaits),
	breaks: []Promise{SmallBesideBulk},
	only:   SmallBesideBulk, // others take longer, too
}, {
	name:   "LingerIgnored",
	muxer:  configs(func(c *mux.Config) { c.Linger = 3 * time.Second }),
	breaks: []Promise{CloseIsPrompt},
	only:   CloseIsPrompt, // others take longer, too
}, {
	name:   "StreamCloseSlow",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return streamCloseSlow{st} }),
	breaks: []Promise{CloseIsPrompt},
	only:   CloseIsPrompt, // others take longer, too
}, {
	name:   "SessionCloseSlow",
	muxer:  sessions(func(s mux.Session) mux.Session { return sessionCloseSlow{s} }),
	breaks: []Promise{CloseIsPrompt},
	only:   CloseIsPrompt, // others take longer, too
}, {
	name:   "CloseWriteTellsReset",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return &closeWriteTellsReset{tellsReset{Stream: st}} }),
	breaks: []Promise{CloseAfterPeer},
}, {
	name:   "CloseTellsReset",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return &closeTellsReset{tellsReset{Stream: st}} }),
	breaks: []Promise{CloseAfterPeer},
}, {
	name:   "CloseWriteNeverFails",
	muxer:  streams(func(_ mux.Session, st mux.Stream) mux.Stream { return closeWriteNeverFails{st} }),
	breaks: []Promise{CloseAfterPeer, Reset},
}}
