"""The fixtures of the page's tests."""

from tests import browser as real
from tests.web import toy_page

browser = real.browser
sample, classes, open_page = toy_page.sample, toy_page.classes, toy_page.open_page
ner, long, usual_replies = toy_page.ner, toy_page.long, toy_page.usual_replies
