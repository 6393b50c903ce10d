// Package sockopt has the settings of TCP sockets.
package sockopt

import "net"

// KeepAlive leaves TCP's keepalive on, with the system's times: package net sets others, with
// three more system calls for each connection. Sessions have a keepalive of their own, so this
// one only finds dead connections of peers that have switched that off, after hours.
var KeepAlive = net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}
