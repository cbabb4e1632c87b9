package main

import "math"

// A large live heap and a high GOGC (set in the environment): few collections, deep teeth.
func bigSawtooth() {
	live := make([][]byte, int(number("LIVE_MIB", 8)*mib/(64*kib)))
	garbageBytes := number("GARBAGE_MIB_PER_SECOND", 0.5) * mib
	const perSecond = 20
	tellHealthy()
	load(steady(perSecond), func(float64) {
		live[chance.Intn(len(live))] = filled(64 * kib)
		filled(garbageBytes / perSecond)
	})
}

// Everything is loaded once, fast at first and then ever slower, and stays.
func warmUp() {
	tables := make([][]byte, int(number("TABLES_MIB", 30)*mib/(32*kib)))
	warmSeconds := number("WARM_SECONDS", 90)
	tellHealthy()
	load(steady(float64(len(tables))/warmSeconds), func(float64) {
		if table := chance.Intn(len(tables)); tables[table] == nil {
			tables[table] = filled(32 * kib)
		}
		filled(16 * kib)
	})
}

// Now and then a batch loads its rows, works on them and lets them go.
func batch() {
	batchBytes := number("BATCH_MIB", 24) * mib
	everySeconds := number("EVERY_SECONDS", 170)
	lastsSeconds := number("LASTS_SECONDS", 40)
	var rows [][]byte
	start := everySeconds * 0.6
	tellHealthy()
	load(steady(40), func(seconds float64) {
		filled(20 * kib)
		if age := seconds - start; age > lastsSeconds {
			rows = nil
			start += everySeconds * (0.9 + 0.2*chance.Float64())
		} else if age > 0 && float64(len(rows))*64*kib < batchBytes {
			rows = append(rows, filled(64*kib))
		}
	})
}

// What is in flight holds memory, so memory rises and falls with the load.
func tide() {
	perSecond := number("REQUESTS_PER_SECOND", 20)
	swing := number("SWING", 0.8)
	tideSeconds := number("TIDE_SECONDS", 420)
	heldBytes := number("HELD_KIB", 300) * kib
	heldSeconds := number("HELD_SECONDS", 4)
	rate := func(seconds float64) float64 { return perSecond * (1 - swing*math.Cos(2*math.Pi*seconds/tideSeconds)) }
	var inFlight [][]byte
	tellHealthy()
	load(rate, func(seconds float64) {
		inFlight = append(inFlight, filled(heldBytes))
		if over := len(inFlight) - int(rate(seconds)*heldSeconds); over > 0 {
			inFlight = append([][]byte{}, inFlight[over:]...)
		}
	})
}
