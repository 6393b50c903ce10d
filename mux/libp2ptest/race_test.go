//go:build race

package libp2ptest

const raceDetector = true
