// Package recent remembers the latest of many values.
package recent

import "container/list"

// A Map holds the values of the keys that were set last, up to a maximum. The zero value with
// a Max is ready to use. It is not safe for concurrent use.
type Map[K comparable, V any] struct {
	// Max is how many keys the map holds at most.
	Max int

	order list.List // of entries, that set last at the end
	byKey map[K]*list.Element
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

// Set sets the value of a key, which becomes the latest.
func (m *Map[K, V]) Set(key K, value V) {
	if m.byKey == nil {
		m.byKey = make(map[K]*list.Element)
	}
	m.Delete(key)
	m.byKey[key] = m.order.PushBack(entry[K, V]{key, value})
	if m.order.Len() > m.Max {
		m.Delete(m.order.Front().Value.(entry[K, V]).key)
	}
}

// Get returns the value of a key, if the map has one.
func (m *Map[K, V]) Get(key K) (value V, ok bool) {
	if e := m.byKey[key]; e != nil {
		return e.Value.(entry[K, V]).value, true
	}
	return value, false
}

// Len returns how many keys the map has.
func (m *Map[K, V]) Len() int { return m.order.Len() }

// Delete forgets a key.
func (m *Map[K, V]) Delete(key K) {
	if e := m.byKey[key]; e != nil {
		m.order.Remove(e)
		delete(m.byKey, key)
	}
}
