package main

import (
	"math"
	"strconv"
	"syscall"
)

// Each request starts a goroutine that waits for an answer nobody sends, and holds the request meanwhile.
func goroutines() {
	perSecond := number("REQUESTS_PER_SECOND", 10)
	bodyBytes := number("BODY_KIB", 8) * kib
	onsetSeconds := number("ONSET_SECONDS", 0)
	answers := make(chan int)
	told := false
	load(steady(perSecond), func(seconds float64) {
		body := filled(bodyBytes)
		if seconds < onsetSeconds {
			return
		}
		if !told {
			told = true
			tellLeak("heap", perSecond*(bodyBytes+2*kib))
		}
		go func() { body[0] = byte(<-answers) }()
	})
}

// Leaks per request under load that rises and falls.
func unboundedMap() {
	perSecond := number("REQUESTS_PER_SECOND", 20)
	keptBytes := number("KEPT_KIB", 5) * kib
	swing := number("SWING", 0.6)
	tideSeconds := number("TIDE_SECONDS", 300)
	seen := map[string][]byte{}
	tellLeak("heap", perSecond*keptBytes)
	load(
		func(seconds float64) float64 { return perSecond * (1 + swing*math.Sin(2*math.Pi*seconds/tideSeconds)) },
		func(float64) { seen["request-"+strconv.Itoa(len(seen))] = filled(keptBytes) },
	)
}

// Leaks outside the heap from the middle of the run on: segments are mapped and never unmapped.
func mappedFiles() {
	perSecond := number("SEGMENTS_PER_SECOND", 4)
	segmentBytes := number("SEGMENT_KIB", 32) * kib
	onsetSeconds := number("ONSET_SECONDS", 240)
	told := false
	load(steady(perSecond), func(seconds float64) {
		filled(20 * kib)
		segment, err := syscall.Mmap(-1, 0, int(segmentBytes), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			panic(err)
		}
		for at := range segment {
			segment[at] = 1
		}
		if seconds < onsetSeconds {
			syscall.Munmap(segment)
		} else if !told {
			told = true
			tellLeak("native", perSecond*segmentBytes)
		}
	})
}

// Leaks slowly under a deep sawtooth: a few bytes are cut out of each page, and keep the whole page.
func substrings() {
	leakBytes := number("LEAK_KIB_PER_SECOND", 40) * kib
	garbageBytes := number("GARBAGE_MIB_PER_SECOND", 2) * mib
	const perSecond = 20
	var titles [][]byte
	// Go lets garbage grow in proportion to what lives.
	tellLeak("heap", leakBytes*(1+number("GOGC", 100)/100))
	load(steady(perSecond), func(float64) {
		page := filled(leakBytes / perSecond)
		titles = append(titles, page[:16:16])
		filled(garbageBytes / perSecond)
	})
}
