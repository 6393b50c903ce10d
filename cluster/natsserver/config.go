package natsserver

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/backdial/backdial/redact"
)

// DefaultCluster is the default of [Config.Cluster].
const DefaultCluster = "backdial"

const (
	// A server gives up a connection that does not answer pings after 4 s to 6 s. What a
	// replica has announced lives as long as its connection.
	pingInterval = 2 * time.Second
	maxPingsOut  = 2

	// nowhere is a port that does not exist. A server of a cluster listens for other servers
	// only after it listens for clients, or has failed to; with DontListen it would wait for
	// ever.
	nowhere = 1 << 16

	// maxPayload limits a message, in bytes. Messages of package natsregistry have at most 4
	// KiB, and a replica has room for thousands of questions.
	maxPayload = 8 << 10
)

// A Config is the configuration of a server.
type Config struct {
	// Name is the name of the replica. Servers of one cluster have different names.
	Name string

	// Cluster is the name of the cluster, the same for all its servers. "" means
	// DefaultCluster.
	Cluster string

	// ClusterAddr is where other servers reach this one, such as ":6222". Port 0 is any. "" is
	// for a server that is alone.
	ClusterAddr string

	// Advertise is the host and port of ClusterAddr for others. "" means its port, and the IP
	// address that they see.
	Advertise string

	// Join are hosts and ports of other servers.
	Join []string

	// TLS is for connections between servers, and is mandatory with a ClusterAddr. It needs a
	// certificate, and RootCAs or ClientCAs, either of which stands for both. The server that
	// dials needs a server certificate too, and the version is always 1.3. InsecureSkipVerify
	// and GetConfigForClient are errors.
	TLS *tls.Config

	// ClientAddr is where services without clients reach this server, to locate clients with
	// package natsregistry. "" means nowhere.
	ClientAddr string

	// ClientTLS is for ClientAddr. It is mandatory except on the loopback interface.
	ClientTLS *tls.Config

	// Users may connect at ClientAddr, or in this process. Without any, everybody who can
	// reach it may. They are mandatory, except on the loopback interface, or with a ClientTLS
	// that requires certificates. See package natsregistry for the permissions.
	Users []*server.User

	// Configure changes other options, after all else. It must leave routes as safe as TLS
	// requires.
	Configure func(*server.Options)

	// Logger logs what the server reports. Nil is silent.
	Logger *slog.Logger
}

// options returns the options of the server.
func (c Config) options() (*server.Options, error) {
	if c.Name == "" {
		return nil, errors.New("no Name")
	}
	o := &server.Options{
		ServerName:      c.Name,
		Host:            "127.0.0.1",
		Port:            nowhere,
		NoSigs:          true,
		NoLog:           true,
		NoSystemAccount: true,
		MaxPayload:      maxPayload,
		PingInterval:    pingInterval,
		MaxPingsOut:     maxPingsOut,
		Users:           c.Users,
	}
	if err := c.cluster(&o.Cluster); err != nil {
		return nil, err
	}
	for _, addr := range c.Join {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return nil, fmt.Errorf("join %q: %w", addr, err)
		}
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: addr})
	}
	if c.ClientAddr != "" {
		host, port, err := split(c.ClientAddr)
		if err != nil {
			return nil, fmt.Errorf("ClientAddr %q: %w", c.ClientAddr, err)
		}
		o.Host, o.Port = host, port
		if c.ClientTLS != nil {
			o.TLS, o.TLSConfig = true, c.ClientTLS.Clone()
			o.TLSVerify = o.TLSConfig.ClientAuth == tls.RequireAndVerifyClientCert
		}
	}
	o.DontListen = c.ClientAddr == "" && c.ClusterAddr == ""
	if c.Configure != nil {
		c.Configure(o)
	}
	return o, check(o)
}

func (c Config) cluster(o *server.ClusterOpts) error {
	if c.ClusterAddr == "" {
		if len(c.Join) > 0 || c.Advertise != "" {
			return errors.New("a Join or Advertise without ClusterAddr, where others reach the server")
		}
		return nil
	}
	host, port, err := split(c.ClusterAddr)
	if err != nil {
		return fmt.Errorf("ClusterAddr %q: %w", c.ClusterAddr, err)
	}
	*o = server.ClusterOpts{
		Name: c.Cluster, Host: host, Port: port, Advertise: c.Advertise,
		PoolSize:     -1, // one connection to each other server
		PingInterval: pingInterval,
		MaxPingsOut:  maxPingsOut,
		Compression:  server.CompressionOpts{Mode: server.CompressionOff},
		TLSTimeout:   float64(2 * time.Second / time.Second),
	}
	if o.Name == "" {
		o.Name = DefaultCluster
	}
	if c.TLS != nil {
		o.TLSConfig = mutual(c.TLS)
	}
	return nil
}

// mutual returns a configuration for both sides of routes.
func mutual(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.MinVersion = tls.VersionTLS13
	if config.MaxVersion != 0 {
		config.MaxVersion = max(config.MaxVersion, config.MinVersion)
	}
	if config.ClientCAs == nil {
		config.ClientCAs = config.RootCAs
	}
	if config.RootCAs == nil {
		config.RootCAs = config.ClientCAs
	}
	verify := config.VerifyConnection
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if err := checkServer(state.PeerCertificates[0]); err != nil || verify == nil {
			return err
		}
		return verify(state)
	}
	return config
}

// checkServer refuses a peer that has dialled but could not be dialled: a service with a
// certificate of the same authority must not say where clients are.
func checkServer(certificate *x509.Certificate) error {
	usages := certificate.ExtKeyUsage
	if slices.Contains(usages, x509.ExtKeyUsageServerAuth) || slices.Contains(usages, x509.ExtKeyUsageAny) {
		return nil
	}
	return fmt.Errorf("the certificate of %s is not for a server", redact.Quote(certificate.Subject.String()))
}

// check returns an error unless a server is safe from strangers.
func check(o *server.Options) error {
	if o.Cluster.Port != 0 || len(o.Routes) > 0 {
		if err := checkRoutes(o.Cluster.TLSConfig); err != nil {
			return fmt.Errorf("TLS of routes: %w", err)
		}
	}
	if o.DontListen || o.Port == nowhere || isLoopback(o.Host) {
		return nil
	}
	if o.TLSConfig == nil {
		return fmt.Errorf("ClientAddr %s is not on the loopback interface, and needs ClientTLS", redact.Text(o.Host))
	}
	if !o.TLSVerify && len(o.Users) == 0 && len(o.Nkeys) == 0 && o.Username == "" && o.Authorization == "" &&
		o.CustomClientAuthentication == nil && len(o.TrustedOperators) == 0 {
		return fmt.Errorf("ClientAddr %s is not on the loopback interface, and needs Users, or a ClientTLS that requires certificates: anybody could claim any client", redact.Text(o.Host))
	}
	return nil
}

func checkRoutes(config *tls.Config) error {
	switch {
	case config == nil:
		return errors.New("there is none, but it is mandatory")
	case config.InsecureSkipVerify:
		return errors.New("InsecureSkipVerify lets anybody be a server of the cluster")
	case config.GetConfigForClient != nil:
		return errors.New("GetConfigForClient may return a configuration that asks for no certificates")
	case config.ClientAuth != tls.RequireAndVerifyClientCert || config.MinVersion < tls.VersionTLS13:
		return errors.New("want certificates of both sides, and version 1.3")
	case config.RootCAs == nil || config.ClientCAs == nil:
		return errors.New("want RootCAs or ClientCAs: the system's authorities sign for everybody")
	case len(config.Certificates) == 0 && (config.GetCertificate == nil || config.GetClientCertificate == nil):
		return errors.New("no certificate, for either side")
	}
	return nil
}

// split returns a host and a port in the form that a NATS server needs.
func split(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, err
	}
	if host == "" {
		host = "0.0.0.0"
	}
	if n == 0 {
		return host, server.RANDOM_PORT, nil
	}
	return host, int(n), nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
