"""Sessions that are kept between processes."""
