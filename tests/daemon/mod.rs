//! The real daemon among real peers: each file is a part of what it promises.
