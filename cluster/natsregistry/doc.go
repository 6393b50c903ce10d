// Package natsregistry is the registry of a cluster on NATS.
package natsregistry
