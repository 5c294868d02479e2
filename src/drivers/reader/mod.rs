//! Card readers: each says taps and its link as `ReaderEvent`s, and shows feedback.
