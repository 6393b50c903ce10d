package harness

import "net"

// An Apart is a subject whose ends share only an address, so that they can be in two
// processes.
type Apart struct {
	Name string

	// Listen starts a server, which runs until t is done. accept returns the session of
	// a client that has connected.
	Listen func(t TB) (addr string, accept func() (*Server, error))

	// Connect connects a client to the server at addr. Calls may be concurrent.
	Connect func(addr string) (*Client, error)
}

// A Server is a server's end of a session.
type Server struct {
	Dial      func() (net.Conn, error)
	Close     func()
	Transport func() Transport // see Session
}

// A Client is a client's end of a session.
type Client struct {
	Accept func() (net.Conn, error)
	Close  func()
}

// Subject returns a subject with both ends in one process.
func (a Apart) Subject() Subject {
	return Subject{Name: a.Name, Serve: func(t TB) func() (*Session, error) {
		addr, accept := a.Listen(t)
		return func() (*Session, error) {
			c, err := a.Connect(addr)
			if err != nil {
				return nil, err
			}
			s, err := accept()
			if err != nil {
				c.Close()
				return nil, err
			}
			return Join(s, c), nil
		}
	}}
}

// Join returns the session with the ends s and c.
func Join(s *Server, c *Client) *Session {
	return &Session{
		Dial:      s.Dial,
		Accept:    c.Accept,
		Close:     func() { s.Close(); c.Close() },
		Transport: s.Transport,
	}
}
