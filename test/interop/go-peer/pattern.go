package main

import "io"

const (
	patternLength = 1 << 20
	// Longest piece written at a time.
	patternPiece = 1 << 16
)

// The body of /bytes/N and of uploads: byte i is pattern[i mod 2^20].
var pattern = func() []byte {
	bytes := make([]byte, patternLength)
	for j := range bytes {
		bytes[j] = byte(j*31) ^ byte(j>>8)
	}
	return bytes
}()

// patternReader yields the first length bytes of the endless pattern.
type patternReader struct {
	position, length int64
}

// next is the longest piece that can be handed out without a copy; it is empty at the end.
func (r *patternReader) next(limit int) []byte {
	start := r.position % patternLength
	end := start + int64(limit)
	if end > patternLength {
		end = patternLength
	}
	if left := r.length - r.position; end-start > left {
		end = start + left
	}
	return pattern[start:end]
}

func (r *patternReader) Read(buffer []byte) (int, error) {
	if r.position >= r.length {
		return 0, io.EOF
	}
	n := copy(buffer, r.next(len(buffer)))
	r.position += int64(n)
	return n, nil
}

func (r *patternReader) WriteTo(w io.Writer) (int64, error) {
	start := r.position
	for r.position < r.length {
		n, err := w.Write(r.next(patternPiece))
		r.position += int64(n)
		if err != nil {
			return r.position - start, err
		}
	}
	return r.position - start, nil
}
