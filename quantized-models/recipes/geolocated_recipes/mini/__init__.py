"""The built-in models: encoders that are trained here, on the world that `geolocate world` draws."""
