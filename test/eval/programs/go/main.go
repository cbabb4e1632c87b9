// Small Go services with known leaks and known non-leaks; the first argument names one. This file has what they share:
// parameters, seeded chance, a beat that never loses load, /metrics as client_golang serves it, and the truth they tell.
package main

import (
	"fmt"
	"math/rand"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

var (
	limitBytes = int64(number("LIMIT_MIB", 96) * mib)
	chance     = rand.New(rand.NewSource(int64(number("SEED", 1))))
	requests   atomic.Int64
)

var programs = map[string]func(){
	"goroutines": goroutines, "unbounded-map": unboundedMap, "mapped-files": mappedFiles, "substrings": substrings,
	"big-sawtooth": bigSawtooth, "warm-up": warmUp, "batch": batch, "tide": tide,
}

func main() {
	go programs[os.Args[1]]()
	http.HandleFunc("/metrics", metrics)
	panic(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}

func number(name string, otherwise float64) float64 {
	if value, err := strconv.ParseFloat(os.Getenv(name), 64); err == nil {
		return value
	}
	return otherwise
}

// About so many bytes, from half to half again as many, written to so that they are resident.
func filled(size float64) []byte {
	block := make([]byte, int(size*(0.5+chance.Float64())))
	for at := 0; at < len(block); at += 1024 {
		block[at] = 1
	}
	return block
}

// Calls work(seconds since start) once per unit of load, for ever; a late beat makes up for what it missed.
func load(perSecond func(seconds float64) float64, work func(seconds float64)) {
	start := time.Now()
	last, owed := 0.0, 0.0
	for {
		time.Sleep(100 * time.Millisecond)
		seconds := time.Since(start).Seconds()
		for owed += (seconds - last) * perSecond(seconds) * (0.5 + chance.Float64()); owed >= 1; owed-- {
			work(seconds)
			requests.Add(1)
		}
		last = seconds
	}
}

func steady(perSecond float64) func(float64) float64 {
	return func(float64) float64 { return perSecond }
}

func tellHealthy() {
	fmt.Printf("{\"leak\":false,\"limitBytes\":%d}\n", limitBytes)
}

// Told at the moment the leak begins; the recorder notes when the limit is really reached.
func tellLeak(kind string, bytesPerSecond float64) {
	statm, _ := os.ReadFile("/proc/self/statm")
	pages, _ := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	onset := time.Now().UnixMilli()
	exhausts := onset + int64(1000*float64(limitBytes-pages*4096)/bytesPerSecond)
	fmt.Printf("{\"leak\":true,\"kind\":%q,\"onsetAt\":%d,\"exhaustsAt\":%d,\"limitBytes\":%d}\n", kind, onset, exhausts, limitBytes)
}

func metrics(response http.ResponseWriter, _ *http.Request) {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	var collections debug.GCStats
	debug.ReadGCStats(&collections)
	fmt.Fprintf(response, "# TYPE go_info gauge\ngo_info{version=%q} 1\n", runtime.Version())
	fmt.Fprintf(response, "go_gc_duration_seconds_sum %g\n", collections.PauseTotal.Seconds())
	fmt.Fprintf(response, "go_gc_duration_seconds_count %d\n", collections.NumGC)
	fmt.Fprintf(response, "go_gc_gogc_percent %g\n", number("GOGC", 100))
	fmt.Fprintf(response, "http_requests_total %d\n", requests.Load())
	for name, value := range map[string]uint64{
		"heap_alloc_bytes":    memory.HeapAlloc,
		"heap_sys_bytes":      memory.HeapSys,
		"heap_released_bytes": memory.HeapReleased,
		"stack_inuse_bytes":   memory.StackInuse,
		"next_gc_bytes":       memory.NextGC,
	} {
		fmt.Fprintf(response, "# TYPE go_memstats_%s gauge\ngo_memstats_%s %e\n", name, name, float64(value))
	}
}
