"""What a server does before and behind its routes: who may enter, how often, and what each request does once."""
