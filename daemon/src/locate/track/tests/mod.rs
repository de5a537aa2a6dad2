//! Tracks of simulated flights.

mod consistency;
mod order;
mod places;
mod simulation;
mod windows;
