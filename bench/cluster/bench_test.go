package cluster_test

import "testing"

func BenchmarkClusterDial(b *testing.B)       { dials(b) }
func BenchmarkClusterThroughput(b *testing.B) { throughput(b) }
func BenchmarkClusterLookup(b *testing.B)     { lookups(b) }
func BenchmarkClusterPresence(b *testing.B)   { presences(b) }
func BenchmarkClusterFailover(b *testing.B)   { failovers(b) }
func BenchmarkClusterIdle(b *testing.B)       { idles(b) }
