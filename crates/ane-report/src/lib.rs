//! What a run came to, for people: curves as pictures, and a page.

#![forbid(unsafe_code)]
