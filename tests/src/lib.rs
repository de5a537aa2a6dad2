//! Tests of whole processes; see the folder `tests`. This library is empty.
