//go:build !race

package long

const raceDetector = false
