// Certs makes the certificates with which the replicas of a cluster, and services that
// dial through them, authenticate each other:
//
//	go run ./examples/cluster/certs -dir certs replica-1=10.0.0.1 replica-2=10.0.0.2 backup
//
// An argument with hosts is a replica, or a NATS server beside them; one without is a
// service. Run it again to add one, or to renew a certificate. Each machine gets ca.pem
// and the two files with its name. ca-key.pem stays where it is: anybody who has it can
// pose as any of them.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/backdial/backdial/examples/cluster/internal/authority"
)

func main() {
	log.SetFlags(0)
	dir := flag.String("dir", "certs", "`folder` for the files")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: certs [-dir folder] replica=host[,host…] … service …")
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(os.Stdout, *dir, flag.Args()); err != nil {
		log.Fatal("certs: ", err)
	}
}

// run makes certificates for names, and prints what it made.
func run(w io.Writer, dir string, names []string) error {
	if len(names) == 0 {
		return errors.New("nobody to certify: name replicas, as in replica-1=10.0.0.1, and services")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	ca, err := authority.Open(dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s: the authority's certificate, for all machines\n", filepath.Join(dir, "ca.pem"))
	for _, arg := range names {
		name, hosts, isReplica := strings.Cut(arg, "=")
		if name == "" || name == "ca" || name != filepath.Base(name) || isReplica && hosts == "" {
			return fmt.Errorf("%q: want replica=host or service, with a name that can be a file's and is not ca", arg)
		}
		who := "a service"
		if isReplica {
			who = "a server at " + hosts
			err = ca.Replica(name, strings.Split(hosts, ",")...)
		} else {
			err = ca.Service(name)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s: of %s, with %s-key.pem\n", filepath.Join(dir, name+".pem"), who, name)
	}
	return nil
}
