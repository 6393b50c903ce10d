// Package cluster lets any replica of a server dial any client.
package cluster
